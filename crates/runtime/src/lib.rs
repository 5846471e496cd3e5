//! The wasmtime embedding (being written).
mod outbound;
pub use outbound::{CallContext, Denied, Outbound, OutboundCall, OutboundTarget};
