//! Artifacts through a real registry, with the real `wash`, a real host, and tools that others wrote.

mod access;
mod foreign;
mod hosts;
mod round_trip;
mod wash;
