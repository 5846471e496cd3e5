//! What a capability provider needs: one trait, two homes.
//!
//! A provider is a library with a [`Builtin`]: its description and how to start it. A host embeds it through the
//! [`Provider`] trait; [`run`] makes a process of it that any 0.82 host can start. The provider sees no difference: it is
//! told its links, answers calls, and reaches actors through [`Actors`].
#![forbid(unsafe_code)]
#![doc = include_str!("../../../docs/first-provider.md")]

#[cfg(feature = "conformance")]
pub mod conformance;
mod links;
mod process;
mod provider;

pub use links::{LinkChange, LinkTable};
pub use process::{BODY_MEMORY, DATA_DIR, run};
pub use provider::{
    Actors, Builtin, Descriptor, Health, HttpBody, HttpTerms, LinkRefused, Provider, ProviderCall, Start, StartError,
};
pub use {
    claims,
    contracts::{self, http_message},
    lattice,
};
