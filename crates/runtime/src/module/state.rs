//! What the store of a module carries: the call, and what the guest has handed over in it.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime::Memory;
use wasmtime_wasi::{WasiCtxBuilder, p1::WasiP1Ctx};

use crate::{
    actor::Actor,
    call::{
        CallState, HasCall,
        outbound::CallContext,
        stdio::{Collected, Output},
    },
    limits::GuestLimits,
};

/// Store data of a module.
pub(crate) struct ModuleState {
    pub(super) call: CallState,
    pub(super) memory: Option<Memory>,
    pub(super) request: Option<(Box<str>, Bytes)>,
    pub(super) response: Option<Bytes>,
    pub(super) error: Option<String>,
    pub(super) host_response: Option<Bytes>,
    pub(super) host_error: Option<String>,
    pub(super) streams: Option<Streams>,
    pub(super) wasi: Option<Box<WasiP1Ctx>>,
}

impl ModuleState {
    pub(super) fn new(actor: &Arc<Actor>, context: CallContext) -> Self {
        Self::with(CallState::new(actor.clone(), context))
    }

    fn with(call: CallState) -> Self {
        Self {
            call,
            memory: None,
            request: None,
            response: None,
            error: None,
            host_response: None,
            host_error: None,
            streams: None,
            wasi: None,
        }
    }

    /// For a program that its user runs, which is no actor: what it may have of this machine is in `wasi`.
    pub(crate) fn of_program(limits: GuestLimits, wasi: &mut WasiCtxBuilder) -> Self {
        let (call, wasi) = (CallState::of_program(limits), Some(Box::new(wasi.build_p1())));
        Self { wasi, ..Self::with(call) }
    }

    /// Turns to the next call of the same instance.
    pub(super) fn renew(&mut self, context: CallContext) {
        self.call.renew(context);
        self.clear();
    }

    /// Lets go of what a call brought and left.
    pub(super) fn clear(&mut self) {
        self.request = None;
        self.response = None;
        self.error = None;
        self.host_response = None;
        self.host_error = None;
    }
}

impl HasCall for ModuleState {
    fn call(&mut self) -> &mut CallState {
        &mut self.call
    }
}

/// What a module without `__guest_call` works with: the operation as argument, standard input and output.
pub(super) struct Streams {
    pub(super) operation: Box<str>,
    pub(super) input: Bytes,
    pub(super) output: Output<Collected>,
}
