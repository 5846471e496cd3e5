//! What a capability provider needs (being written).
mod provider;
pub use provider::{Actors, Builtin, Descriptor, Health, HttpBody, LinkRefused, Provider, ProviderCall, Start, StartError};
pub use {claims, contracts, lattice};
