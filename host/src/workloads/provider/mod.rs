//! Starting and stopping providers, embedded or as processes (protocol sections 7.4 and 8.7).
//!
//! Invariant: a start either ends in `provider_started` with the provider in the table, or in `provider_start_failed`
//! with nothing left behind.

mod error;
mod face;
mod start;
mod stop;

pub use self::{
    error::StartProviderError,
    face::ProviderWorkloads,
    start::{find_builtin, start},
    stop::{OtherLinkName, end, revoke, stop},
};
