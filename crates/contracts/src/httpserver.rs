//! `wasmcloud:httpserver`: HTTP requests become actor calls (protocol section 7.6).

mod link;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use link::{DEFAULT_ADDRESS, DEFAULT_MAX_CONTENT_LEN, HttpServerLink};

/// Contract id.
pub const CONTRACT: &str = "wasmcloud:httpserver";
/// The one operation, provider to actor.
pub const HANDLE_REQUEST: &str = "HttpServer.HandleRequest";

/// Header values by lower-case name.
pub type Headers = BTreeMap<String, Vec<String>>;

/// Argument of [`HANDLE_REQUEST`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRequest {
    /// Method, upper case.
    pub method: String,
    /// Path, beginning with `/`.
    pub path: String,
    /// Raw query without `?`, percent-encoding kept.
    #[serde(default)]
    pub query_string: String,
    /// Header values by lower-case name.
    #[serde(default)]
    pub header: Headers,
    /// Body.
    #[serde(default, with = "serde_bytes")]
    pub body: Vec<u8>,
}

/// Result of [`HANDLE_REQUEST`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpResponse {
    /// Status code.
    #[serde(default = "ok")]
    pub status_code: u16,
    /// Header values by name.
    #[serde(default)]
    pub header: Headers,
    /// Body.
    #[serde(default, with = "serde_bytes")]
    pub body: Vec<u8>,
}

fn ok() -> u16 {
    200
}
