//! Components of WASI 0.3: one actor, `actors/p3`, with the runtime that runs it and on hosts.
#![expect(clippy::unwrap_used, reason = "tests")]

mod command;
mod hostile;
mod http;
mod lattice;
mod reuse;
mod shared;
mod world;
