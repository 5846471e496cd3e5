//! The one door out of a guest.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use async_trait::async_trait;
use bytes::Bytes;
use contracts::{CallError, TraceContext};

/// Whom a guest calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutboundTarget {
    /// Whoever the link `link_name` of the calling actor binds for `contract`.
    Link {
        /// Contract id, for example `wasmcloud:keyvalue`.
        contract: String,
        /// Link name, `default` when the guest does not care.
        link_name: String,
    },
    /// Another actor, by public key or call alias.
    Actor {
        /// Public key (`M…`) or call alias.
        name: String,
    },
    /// What legacy modules say (`__host_call`): `namespace` is a contract of a link named `binding`, else an actor.
    /// The host resolves it (protocol section 5.3).
    Unresolved {
        /// Link name, may be empty.
        binding: String,
        /// Contract id, actor key or call alias.
        namespace: String,
    },
}

/// One call out of a guest.
#[derive(Debug, Clone)]
pub struct OutboundCall {
    /// Whom.
    pub target: OutboundTarget,
    /// Operation in its wire form, `Trait.Method`.
    pub operation: String,
    /// Argument, encoded by the contract.
    pub payload: Bytes,
    /// When the inbound call that this one serves must end.
    pub deadline: Instant,
    /// Trace context of the inbound call.
    pub trace: TraceContext,
}

/// The one door out of a guest. The host implements it with its router; tests implement it with a map.
#[async_trait]
pub trait Outbound: Send + Sync + 'static {
    /// Makes the call. Dropping the future abandons it.
    ///
    /// # Errors
    /// Whatever step failed, as [`CallError`].
    async fn call(&self, call: OutboundCall) -> Result<Bytes, CallError>;

    /// What was configured for the actor, by name. Nothing, unless the host says otherwise.
    ///
    /// # Errors
    /// Why the configuration cannot be read, as [`CallError`].
    async fn config(&self) -> Result<BTreeMap<String, Vec<u8>>, CallError> {
        Ok(BTreeMap::new())
    }
}

/// An [`Outbound`] that grants nothing.
pub struct Denied;

#[async_trait]
impl Outbound for Denied {
    async fn call(&self, call: OutboundCall) -> Result<Bytes, CallError> {
        let contract = match call.target {
            OutboundTarget::Link { contract, .. } => contract,
            OutboundTarget::Actor { name } => name,
            OutboundTarget::Unresolved { namespace, .. } => namespace,
        };
        Err(CallError::NotGranted { caller: "guest".to_owned(), contract })
    }
}

/// What every call carries besides its argument.
#[derive(Clone)]
pub struct CallContext {
    /// When the call must have ended.
    pub deadline: Instant,
    /// Trace context.
    pub trace: TraceContext,
    /// The way out for this call.
    pub outbound: Arc<dyn Outbound>,
}

impl CallContext {
    /// For a store that is made for no call: nothing leaves it, and the tick that finds something computing in it stops that.
    pub(crate) fn of_nobody() -> Self {
        Self { deadline: Instant::now(), trace: TraceContext::default(), outbound: Arc::new(Denied) }
    }
}
