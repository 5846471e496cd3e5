//! The test harness: real servers, real hosts, real actors, and faults on demand.
//!
//! ```no_run
//! # async fn example() {
//! use lattice_tests::TestLattice;
//!
//! let Some(mut lattice) = TestLattice::start(["a", "b"]).await else { return }; // no nats-server: says so
//! lattice.cut("b");
//! // what must work without `b`
//! lattice.heal("b");
//! # }
//! ```
//!
//! Each test has its own lattice, its own servers, free ports and a temporary directory; everything ends with the value
//! that started it, also when the test process is killed. Waiting is for a condition with a deadline
//! ([`eventually`]), never for a time. A server that is missing is a visible skip, and a failure where `CI` is set.

mod actors;
mod agreement;
mod binaries;
mod caller;
mod calls;
mod eventually;
mod fake_time;
mod http;
mod in_process;
mod lattice;
mod load;
mod nats;
mod operator;
mod otlp;
mod ports;
mod process;
mod provider_processes;
mod redis;
mod registry;
mod relay;
mod sign;
mod single;
mod small_disk;

pub use actors::Actor;
pub use agreement::Agreed;
pub use binaries::binary;
pub use caller::Caller;
pub use calls::{Gate, RELAY, relay, subscribe};
pub use eventually::{eventually, eventually_within};
pub use fake_time::fake_time_library;
pub use http::{Answer, ask, get, post, try_get};
pub use in_process::InProcess;
pub use lattice::{TestHost, TestLattice};
pub use load::{Load, Seen};
pub use nats::NatsServer;
pub use operator::{Operator, http_link, link};
pub use otlp::{Receiver, Span};
pub use ports::free_address;
pub use process::Guarded;
pub use provider_processes::{kill, processes_below};
pub use redis::Redis;
pub use registry::{Access, Registry, program};
pub use relay::Relay;
pub use sign::{HTTPSERVER, KEYVALUE, Signed, Signer, now};
pub use single::SingleHost;
pub use small_disk::SmallDisk;
pub use test_needs::skip;
