//! What attacks cost a host, and what its other work notices: one line for each, beginning `figure:`. Asserted are the bounds;
//! times depend on the machine, and are for people who run this on a free one with `--include-ignored --nocapture`.
#![cfg(target_os = "linux")] // memory is read from /proc

mod bodies;
mod compile;
mod connections;
mod guests;
mod measure;
mod sessions;
