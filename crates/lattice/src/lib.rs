//! The vocabulary of the lattice: names, addresses and messages, spelled once.
//!
//! Without features this crate is pure data: no I/O, no clock of its own. The feature `client` adds what sends and
//! receives. Wire structs stop here; the rest of the workspace sees our own types.

pub mod bounds;
#[cfg(feature = "client")]
pub mod client;
pub mod config_service;
pub mod control;
pub mod event;
pub mod invocation;
pub mod member;
pub mod policy;
pub mod session;
pub mod stored_claims;
pub mod subject;

mod chunk;
mod health;
mod host_data;
mod link;
mod name;
mod shutdown;
mod wire;

pub use chunk::{CHUNK_EXTRA_TIME, CHUNK_THRESHOLD, is_chunked};
pub use health::HealthResponse;
pub use host_data::{HostData, HostDataError, OtelConfig, RpcTls, Secret};
pub use link::{Link, LinkError, LinkId, LinkIdError};
pub use name::{ContractId, LatticeId, LinkName, NameError};
pub use shutdown::{SHUTDOWN_REPLY, ShutdownRequest};
pub use wire::WireError;
