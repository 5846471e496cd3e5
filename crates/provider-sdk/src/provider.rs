//! The one trait of a capability provider, and the handle through which it calls actors.

use std::{path::PathBuf, sync::Arc, time::Instant};

use async_trait::async_trait;
use bytes::Bytes;
use claims::ActorId;
use contracts::{CallError, TraceContext};
use lattice::{Link, LinkName};

/// Body of an HTTP request or response that streams through the host, and what an exchange of them may use.
pub use contracts::http_message::{HttpBody, HttpTerms};

/// Who a provider is, known at compile time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// Name in `builtin://<name>`.
    pub name: &'static str,
    /// Contract it serves.
    pub contract: &'static str,
    /// Human name shown in claims and inventories.
    pub display_name: &'static str,
    /// Vendor shown in claims.
    pub vendor: &'static str,
    /// Version shown in claims.
    pub version: &'static str,
    /// Revision shown in claims.
    pub revision: i32,
}

/// What a provider gets when it starts.
#[derive(Clone)]
pub struct Start {
    /// The way to the actors that are linked to it.
    pub actors: Arc<dyn Actors>,
    /// The link name it runs under.
    pub link_name: LinkName,
    /// Configuration text given at start, if any (`--config-json`).
    pub config: Option<String>,
    /// A directory of its own, which outlives this start and every later one under the same link name. It may not exist
    /// yet. None when whoever starts the provider keeps nothing for it, as hosts of 0.82 do.
    pub data_dir: Option<PathBuf>,
}

/// A compiled-in provider: its description and how to start it.
#[derive(Clone, Copy)]
pub struct Builtin {
    /// Who it is.
    pub descriptor: Descriptor,
    /// Starts one. The returned provider has no links yet.
    pub start: fn(Start) -> Result<Arc<dyn Provider>, StartError>,
}

/// Why a provider cannot start.
#[derive(Debug, thiserror::Error)]
#[error("provider configuration: {reason}")]
pub struct StartError {
    /// What is wrong.
    pub reason: String,
}

/// Why a provider does not serve a link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkRefused {
    /// A value is malformed; putting the same link again cannot help.
    #[error(transparent)]
    Values(#[from] contracts::LinkValueError),
    /// The values are right but cannot be served now, for example a port in use; trying again may help.
    #[error("{reason}")]
    Unavailable {
        /// What is in the way.
        reason: String,
    },
}

/// One call from a linked actor.
#[derive(Debug, Clone)]
pub struct ProviderCall {
    /// The calling actor; the host or the SDK has checked that it is linked.
    pub actor: ActorId,
    /// Operation in its wire form, `Trait.Method`.
    pub operation: String,
    /// Argument.
    pub payload: Bytes,
    /// When the call must have ended.
    pub deadline: Instant,
    /// Trace context.
    pub trace: TraceContext,
}

/// How a provider feels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether calls can be expected to work.
    pub healthy: bool,
    /// Why not, or a remark.
    pub message: Option<String>,
}

/// A capability provider. One value serves all links of one link name on one host.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// Serves a link, or replaces the values of one that is served already (same actor). On refusal the previous
    /// state of that actor's link is unchanged.
    async fn put_link(&self, link: &Link) -> Result<(), LinkRefused>;

    /// Stops serving the link of an actor; unknown actors are fine. When it returns, everything the link held
    /// (sockets, connections) is released.
    async fn delete_link(&self, actor: &ActorId);

    /// Answers a call of a linked actor. Providers that only call actors refuse every operation.
    ///
    /// # Errors
    /// [`CallError`]; an error of the contract itself is [`CallError::Reported`].
    async fn call(&self, call: ProviderCall) -> Result<Bytes, CallError>;

    /// Answers the health check.
    async fn health(&self) -> Health {
        Health { healthy: true, message: None }
    }

    /// Releases everything. Called once, last.
    async fn shutdown(&self);
}

/// The way from a provider to the actors linked to it. Implemented by the host (embedded) and by the process home.
#[async_trait]
pub trait Actors: Send + Sync + 'static {
    /// Calls one operation of an actor.
    ///
    /// # Errors
    /// [`CallError`], within `deadline` at the latest. Dropping the future abandons the call.
    async fn call(
        &self,
        actor: &ActorId,
        operation: &str,
        payload: Bytes,
        deadline: Instant,
        trace: TraceContext,
    ) -> Result<Bytes, CallError>;

    /// Hands an HTTP request to an actor. A component on the same host gets it as a stream; everything else gets the
    /// `HttpServer.HandleRequest` message. `request` has an absolute path in its URI and its own headers, and its body
    /// fails when it stands still for too long: nobody but the server knows its client.
    ///
    /// # Errors
    /// [`CallError`] as long as no response head was produced; later failures end the body, with a [`CallError`] where it
    /// was the guest who failed.
    async fn handle_http(
        &self,
        actor: &ActorId,
        request: http::Request<HttpBody>,
        terms: HttpTerms,
    ) -> Result<http::Response<HttpBody>, CallError>;
}
