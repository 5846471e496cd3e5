//! Calls over fakes: no NATS, no wasm, no processes.

mod embedded;
mod out;
mod permission;
