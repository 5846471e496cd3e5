//! Components: what they may import, loading them and running calls (protocol section 6).
//!
//! Knows nothing of admission. [`guest`] is a loaded component and one message to it, [`http`] one request, [`p3`] the
//! same for WASI 0.3; [`imports`] lists the interfaces, each with a file or folder of its own.

mod blobstore;
mod body;
mod bus;
mod config;
mod exports;
pub(crate) mod guest;
pub(crate) mod http;
pub(crate) mod imports;
mod interface;
mod keyvalue;
pub(crate) mod linker;
mod logging;
mod messaging;
mod outgoing_http;
mod p3;
mod request;
mod reuse;
mod running;
pub(crate) mod state;
mod targets;
mod wasi;
mod wasi_http;
