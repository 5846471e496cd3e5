//! The commands of `cargo xtask`, and what the test harness shares with them: where the workspace is
//! ([`workspace`]), how its actors are built ([`actors`], [`guests`]), where a nats-server is ([`nats_server`]) and which ports are
//! free ([`ports`]).
//!
//! Knows nothing of the product's crates: it drives their binaries, so that a demo shows what a user gets.

pub mod actors;
pub mod bench;
pub mod demo;
pub mod docs;
pub mod fuzz;
pub mod guests;
pub mod http;
pub mod nats_server;
pub mod ports;
pub mod test;
pub mod tidy;
pub mod tools;
pub mod workspace;
