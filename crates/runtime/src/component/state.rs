//! What the store of a component carries: the call, its resources, and what the interfaces of the host know of the guest.
//!
//! Invariant: an instance that still holds a part of an HTTP exchange is told apart, because only its end would let go of
//! the other side.

use std::{any::Any, mem, sync::Arc};

use bytes::Bytes;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};
use wasmtime_wasi_http::{
    WasiHttpCtx,
    p2::{
        body::{HostFutureTrailers, HostIncomingBody, HostOutgoingBody, StreamContext},
        types::{
            HostFutureIncomingResponse, HostIncomingRequest, HostIncomingResponse, HostOutgoingRequest,
            HostOutgoingResponse, HostResponseOutparam,
        },
    },
    p3,
};

use super::{outgoing_http::OutgoingHttp, targets::Targets};
use crate::{
    actor::Actor,
    call::{
        CallState, HasCall,
        outbound::CallContext,
        stdin::Input,
        stdio::{Collected, Output},
    },
    limits::GuestLimits,
};

/// Store data of a component.
pub(crate) struct ComponentState {
    pub(super) call: CallState,
    pub(super) table: ResourceTable,
    pub(super) wasi: Option<Box<WasiCtx>>,
    pub(super) http: WasiHttpCtx,
    pub(super) hooks: OutgoingHttp,
    pub(super) streams: Option<Streams>,
    pub(super) targets: Targets,
}

impl ComponentState {
    pub(super) fn new(actor: &Arc<Actor>, context: CallContext) -> Self {
        let mut call = CallState::new(actor.clone(), context);
        let mut table = ResourceTable::new();
        table.set_max_capacity(actor.limits.component_handles as usize);
        let hooks = OutgoingHttp::new(&mut call);
        Self { call, table, wasi: None, http: WasiHttpCtx::new(), hooks, streams: None, targets: Default::default() }
    }

    /// For a program that its user runs, which is no actor: what it may have of this machine is in `wasi`.
    pub(crate) fn of_program(limits: GuestLimits, wasi: &mut WasiCtxBuilder) -> Self {
        let call = CallState::of_program(limits);
        let (table, wasi, http) = (ResourceTable::new(), Some(Box::new(wasi.build())), WasiHttpCtx::new());
        Self { call, table, wasi, http, hooks: OutgoingHttp::denied(), streams: None, targets: Targets::default() }
    }
}

impl Drop for ComponentState {
    /// A body the guest did not finish, because it failed, was stopped or forgot, must not look like a complete one.
    fn drop(&mut self) {
        for entry in self.table.iter_mut() {
            if let Some(body) = (entry as &mut dyn Any).downcast_mut::<HostOutgoingBody>() {
                let (nothing, _) = HostOutgoingBody::new(StreamContext::Response, None, 1, 1);
                mem::replace(body, nothing).abort();
            }
        }
    }
}

impl HasCall for ComponentState {
    fn call(&mut self) -> &mut CallState {
        &mut self.call
    }
}

impl ComponentState {
    /// Turns to the next call of the same instance, which goes on with the streams it has.
    pub(super) fn renew(&mut self, context: CallContext) {
        self.call.renew(context);
        self.targets = Targets::default();
        self.hooks = OutgoingHttp::new(&mut self.call);
    }

    /// Adds another call to those in the same instance. From now on calls out are made in its name.
    pub(super) fn join(&mut self, context: CallContext) {
        self.call.join(context);
        self.hooks = OutgoingHttp::new(&mut self.call);
    }

    /// Puts the argument of a message on standard input; returns standard output, which will be the result. A guest
    /// that kept its streams from the last call reads and writes the same ones.
    pub(super) fn take_message(&mut self, operation: &str, argument: Bytes) -> Output<Collected> {
        let operation = operation.into();
        let (input, output) = match self.streams.take() {
            Some(streams) => (streams.input, streams.output),
            None => (Input::default(), Output::collect(self.call.actor.limits.response_bytes)),
        };
        input.refill(argument);
        // Made anew when it is needed, because the operation is in it as an argument.
        self.wasi = None;
        self.streams = Some(Streams { operation, input, output: output.clone() });
        output
    }

    /// Whether nothing of an HTTP exchange is left.
    pub(super) fn is_done_with_http(&mut self) -> bool {
        !self.table.iter_mut().any(|entry| {
            let entry = entry as &dyn Any;
            entry.is::<HostIncomingRequest>()
                || entry.is::<HostIncomingBody>()
                || entry.is::<HostResponseOutparam>()
                || entry.is::<HostOutgoingResponse>()
                || entry.is::<HostOutgoingBody>()
                || entry.is::<HostOutgoingRequest>()
                || entry.is::<HostFutureIncomingResponse>()
                || entry.is::<HostIncomingResponse>()
                || entry.is::<HostFutureTrailers>()
                || entry.is::<p3::Request>()
                || entry.is::<p3::Response>()
        })
    }
}

/// What a guest that is called by message works with: the operation as argument, standard input and output.
pub(super) struct Streams {
    pub(super) operation: Box<str>,
    pub(super) input: Input,
    pub(super) output: Output<Collected>,
}
