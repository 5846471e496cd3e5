//! The providers compiled into `wash up`. Chosen here, by the binary; the host library knows none.

use host::{Host, HostConfig, HostError};

/// All of them.
const BUILTINS: &[provider_sdk::Builtin] = &[provider_httpserver::BUILTIN, provider_keyvalue_redb::BUILTIN];

/// Names of all of them, as in `builtin://{name}`.
pub const NAMES: &[&str] =
    &[provider_httpserver::BUILTIN.descriptor.name, provider_keyvalue_redb::BUILTIN.descriptor.name];

/// Starts a host in this process with all of them.
///
/// # Errors
/// The host does not start.
pub async fn start_host(config: HostConfig) -> Result<Host, HostError> {
    // Boxed: starting a host is a large future, and it ends up inside several others.
    Box::pin(Host::start(config, BUILTINS)).await
}
