//! The way out of one call, for host functions that await without a borrow of the store.
//!
//! Knows no interface. Invariant: nothing comes back that is larger than the actor may hold.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use contracts::CallError;

use crate::{CallContext, OutboundCall, OutboundTarget, call::Actor};

/// The way out of one call. Cheap to clone.
#[derive(Clone)]
pub(crate) struct WayOut {
    context: CallContext,
    actor: Arc<Actor>,
}

impl WayOut {
    pub(crate) fn new(context: &CallContext, actor: &Arc<Actor>) -> Self {
        Self { context: context.clone(), actor: actor.clone() }
    }

    /// Calls the target within the call's deadline.
    pub(crate) async fn call(
        self,
        target: OutboundTarget,
        operation: String,
        payload: Bytes,
    ) -> Result<Bytes, CallError> {
        let CallContext { deadline, trace, outbound } = self.context;
        let result = outbound.call(OutboundCall { target, operation, payload, deadline, trace }).await?;
        check(&self.actor, result.len()).map(|()| result)
    }

    /// The actor's configuration.
    pub(crate) async fn config(self) -> Result<BTreeMap<String, Vec<u8>>, CallError> {
        let config = self.context.outbound.config().await?;
        let len = config.iter().map(|(key, value)| key.len() + value.len()).sum();
        check(&self.actor, len).map(|()| config)
    }
}

fn check(actor: &Actor, len: usize) -> Result<(), CallError> {
    let limit = actor.limits.response_bytes;
    if len > limit as usize {
        let limit = format!("result of {len} bytes, `response_bytes` of {limit}");
        return Err(CallError::LimitExceeded { limit });
    }
    Ok(())
}
