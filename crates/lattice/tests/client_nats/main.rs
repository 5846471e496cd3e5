//! The clients against a real NATS server, with hand-written hosts, actors and providers on the other side.
#![expect(clippy::unwrap_used, reason = "tests")]

mod bodies;
mod connect;
mod control;
mod gather;
mod rpc;
mod server;
mod serving;
mod world;
