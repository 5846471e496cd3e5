//! The vocabulary of the lattice: names, addresses and messages, spelled once.
//!
//! Without features this crate is pure data: no I/O, no clock of its own. The feature `client` adds what sends and
//! receives. Wire structs stop here; the rest of the workspace sees our own types.

#[cfg(feature = "client")]
pub mod client;
pub mod control;
pub mod subject;

mod link;
mod name;
mod wire;

pub use link::{Link, LinkError, LinkId, LinkIdError};
pub use name::{ContractId, LatticeId, LinkName, NameError};
pub use wire::WireError;
