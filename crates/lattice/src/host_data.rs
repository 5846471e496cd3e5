//! What a host tells a provider process when it starts it: one line on standard input.
//!
//! Knows the object and the line, not processes. Invariants: every member that some provider requires is always
//! written, empty or not; the secrets in it never reach `Debug`.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use claims::{ClusterId, HostId, ProviderId};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::{LatticeId, Link, LinkName, wire::nil_is_default};

/// Longest line that is read, in bytes. Links with their values make most of it.
const MAX_LINE: usize = 16 * 1024 * 1024;

/// A text that must not be printed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text. Every call of this is a place where a secret leaves.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "[empty]" } else { "[redacted]" })
    }
}

/// Everything a provider process needs to serve.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostData {
    /// The host that started it, and the only one it obeys.
    pub host_id: HostId,
    /// The lattice.
    #[serde(rename = "lattice_rpc_prefix", default)]
    pub lattice: LatticeId,
    /// The link name it serves.
    #[serde(default)]
    pub link_name: LinkName,
    /// NATS user token, empty for an anonymous connection.
    #[serde(default)]
    pub lattice_rpc_user_jwt: String,
    /// NATS user seed, empty for an anonymous connection.
    #[serde(default)]
    pub lattice_rpc_user_seed: Secret,
    /// NATS server; read it through [`HostData::rpc_url`].
    #[serde(default)]
    pub lattice_rpc_url: String,
    /// How to speak TLS with that server. Ours; providers of others do not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lattice_rpc_tls: Option<RpcTls>,
    /// Who the provider is.
    pub provider_key: ProviderId,
    /// Seed the provider signs its invocations with: that of a cluster, or of a key made for this process alone.
    #[serde(default)]
    pub invocation_seed: Secret,
    /// The statement of a cluster key for `invocation_seed` where that is a key of this process. Ours; providers of
    /// others do not know it, and are given the seed of a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation_delegation: Option<String>,
    /// Always empty in practice, and required by every provider.
    pub env_values: BTreeMap<String, String>,
    /// Identifies this process (UUID text).
    #[serde(default)]
    pub instance_id: String,
    /// The links it has now. More come over the lattice.
    pub link_definitions: Vec<Link>,
    /// Cluster keys whose invocations it must accept.
    pub cluster_issuers: Vec<ClusterId>,
    /// Configuration text given when it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_json: Option<String>,
    /// How long its calls may take, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_rpc_timeout_ms: Option<u64>,
    /// Whether it should log JSON.
    #[serde(default)]
    pub structured_logging: bool,
    /// Level of its log, lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_level: Option<String>,
    /// Where it should send traces.
    #[serde(default, deserialize_with = "nil_is_default")]
    pub otel_config: OtelConfig,
}

/// How to speak TLS with the NATS server. The files are on the machine of the host, which is the provider's too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RpcTls {
    /// Refuse a connection without TLS.
    #[serde(default)]
    pub required: bool,
    /// Certificates (PEM) of the authorities the server is trusted by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Our own certificate (PEM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// Its key (PEM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

/// Where a provider should send traces. Both members are written, as null when unset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtelConfig {
    /// Only `otlp` means something.
    #[serde(default)]
    pub traces_exporter: Option<String>,
    /// URL.
    #[serde(default)]
    pub exporter_otlp_endpoint: Option<String>,
    /// Headers for the receiver, `name=value,name=value`, which may be secrets. Ours; providers of others do not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exporter_otlp_headers: Option<Secret>,
    /// Share of the traces that begin in the provider which are recorded, from 0 to 1. Ours, as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces_sampler_arg: Option<String>,
}

impl fmt::Debug for HostData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Link values and configuration may hold passwords; whoever debugs needs the identities.
        f.debug_struct("HostData")
            .field("host_id", &self.host_id)
            .field("lattice", &self.lattice)
            .field("link_name", &self.link_name)
            .field("provider_key", &self.provider_key)
            .field("instance_id", &self.instance_id)
            .field("links", &self.link_definitions.len())
            .finish_non_exhaustive()
    }
}

/// Why standard input does not hold host data.
#[derive(Debug, thiserror::Error)]
pub enum HostDataError {
    /// The line is longer than any host writes.
    #[error("host data is longer than {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// Not padded base64.
    #[error("host data is not base64: a provider is started by a host, not by hand")]
    Base64,
    /// Not the object it should be; the text names the member.
    #[error("host data: {0}")]
    Json(String),
}

impl HostDataError {
    /// Stable word for logs and tests.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "host_data_too_long",
            Self::Base64 => "host_data_not_base64",
            Self::Json(_) => "malformed_host_data",
        }
    }
}

impl HostData {
    /// The NATS server to connect to.
    #[must_use]
    pub fn rpc_url(&self) -> &str {
        if self.lattice_rpc_url.is_empty() { "nats://127.0.0.1:4222" } else { &self.lattice_rpc_url }
    }

    /// The JSON object.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("host data is strings and numbers")
    }

    /// Reads the JSON object.
    ///
    /// # Errors
    /// [`HostDataError::Json`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, HostDataError> {
        serde_json::from_slice(bytes).map_err(|error| HostDataError::Json(error.to_string()))
    }

    /// The line for standard input of the provider: padded base64, then CR LF.
    #[must_use]
    pub fn to_stdin_line(&self) -> String {
        let mut line = BASE64.encode(&self.to_json());
        line.push_str("\r\n");
        line
    }

    /// Reads standard input up to the first newline, or all of it.
    ///
    /// # Errors
    /// [`HostDataError`].
    pub fn from_stdin_line(input: &[u8]) -> Result<Self, HostDataError> {
        let line = input.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
        if line.len() > MAX_LINE {
            return Err(HostDataError::TooLong { max: MAX_LINE });
        }
        Self::from_json(&BASE64.decode(line).map_err(|_| HostDataError::Base64)?)
    }
}
