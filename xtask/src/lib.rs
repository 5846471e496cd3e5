//! The commands of `cargo xtask`, and the three things the test harness shares with them: where the workspace is
//! ([`workspace`]), how its actors are built ([`actors`]) and where a nats-server is ([`nats_server`]).
//!
//! Knows nothing of the product's crates: it drives their binaries, so that a demo shows what a user gets.

pub mod actors;
pub mod bench;
pub mod demo;
pub mod docs;
pub mod http;
pub mod nats_server;
pub mod test;
pub mod tidy;
pub mod tools;
pub mod workspace;
