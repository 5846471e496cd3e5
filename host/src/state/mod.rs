//! Lattice state as this host knows it, and the pure decisions over it.
//!
//! No `.await` here: links and claims are tables, scaling and merging are functions. [`replica`] keeps the state on
//! disk; the `sync` module of the host moves it to and from JetStream.

pub mod claims;
pub mod known;
pub mod links;
pub mod merge;
pub mod owners;
pub mod replica;
pub mod revocations;
pub mod scale;
