//! Capability contracts: their ids, operations and payloads, and how a call over one can fail.
//!
//! Pure data: no I/O, no async, no clock; builds for `wasm32-unknown-unknown` so that guests can share it.
//! One file per contract. To add one: `<name>.rs` with its id, operations, payloads and link values.
#![forbid(unsafe_code)]

pub mod blobstore;
pub mod budget;
pub mod call;
pub mod codec;
#[cfg(feature = "http")]
pub mod http_message;
pub mod httpclient;
pub mod httpserver;
pub mod keyvalue;
pub mod link_values;
pub mod mask;
pub mod messaging;
pub mod text;
pub mod trace;

pub use budget::{Budget, Charge};
pub use call::CallError;
pub use link_values::{LinkValueError, Values};
pub use trace::{MAX_CALL_DEPTH, TraceContext, TraceParent};

/// Whether the providers of a contract call actors, on behalf of the outside world; those of messaging are called by actors
/// as well. Of a contract that is not known here it is taken that its providers are only called.
#[must_use]
pub fn calls_actors(contract: &str) -> bool {
    [httpserver::CONTRACT, messaging::CONTRACT].contains(&contract)
}
