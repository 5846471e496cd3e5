//! A component that is asked for HTTP the way of WASI 0.3: its entry point, and where its instances are between two calls.

use wasmtime::component::{Component, InstancePre};
use wasmtime_wasi_http::p3::bindings::{self, ServicePre};

use super::sharing::Sharing;
use crate::{
    actor::Actor,
    component::{
        exports::{entry_point, newer_function},
        reuse::Waiting,
        state::ComponentState,
    },
    error::LoadError,
    instances::{places::Places, waiting::Idle},
};

/// The interface a component exports to be asked this way.
const HANDLER: &str = "wasi:http/handler";

/// The entry point of a component that exports it, and its instances between two calls.
pub(in crate::component) struct Service {
    pub(super) pre: ServicePre<ComponentState>,
    pub(super) idle: Waiting<bindings::Service>,
    pub(super) sharing: Option<Sharing>,
}

impl Service {
    /// None for a component that does not export it.
    pub(in crate::component) fn of(
        pre: &InstancePre<ComponentState>,
        component: &Component,
        actor: &Actor,
        places: &Places,
    ) -> Result<Option<Self>, LoadError> {
        if newer_function(pre.engine(), component, HANDLER, "handle").is_none() {
            return Ok(None);
        }
        let pre = ServicePre::new(pre.clone()).map_err(|error| entry_point(&error))?;
        let (idle, sharing) = (Idle::new(&actor.limits, &places.idle), Sharing::of(&actor.limits));
        Ok(Some(Self { pre, idle, sharing }))
    }
}
