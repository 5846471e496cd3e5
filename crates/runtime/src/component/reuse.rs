//! One instance for several calls: what stays, what is new with each, and which instances are fit for another.
//!
//! Knows nothing of who waits and for how long. Invariant: an instance that still holds a part of an HTTP exchange is
//! not used again, because only its end would let go of the other side.

use std::any::Any;

use bytes::Bytes;
use wasmtime::Store;
use wasmtime_wasi_http::{
    p2::{
        body::{HostFutureTrailers, HostIncomingBody, HostOutgoingBody},
        types::{
            HostFutureIncomingResponse, HostIncomingRequest, HostIncomingResponse, HostOutgoingRequest,
            HostOutgoingResponse, HostResponseOutparam,
        },
    },
    p3,
};

use super::{ComponentGuest, ComponentState, targets::Targets, wasi::Streams};
use crate::{
    CallContext, call,
    engine::Wasi,
    idle::{Idle, Warm},
    stdin::Input,
    stdio::{Collected, Output},
};

impl ComponentState {
    /// Turns to the next call of the same instance, which goes on with the streams it has.
    fn renew(&mut self, context: CallContext) {
        self.call.renew(context);
        self.targets = Targets::default();
        self.hooks = super::outgoing::Outgoing::new(&mut self.call);
    }

    /// Adds another call to those in the same instance. From now on calls out are made in its name.
    pub(super) fn join(&mut self, context: CallContext) {
        self.call.join(context);
        self.hooks = super::outgoing::Outgoing::new(&mut self.call);
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
    fn is_done_with_http(&mut self) -> bool {
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

/// An instance between its calls.
pub(super) struct Parked<I> {
    store: Store<ComponentState>,
    instance: I,
}

/// A store for a call, and the instance in it if there is one already.
pub(super) struct Place<I> {
    pub(super) store: Store<ComponentState>,
    pub(super) instance: Option<I>,
    served: u32,
}

/// The instances that wait for a call, of one kind of entry.
pub(super) type Waiting<I> = Idle<Parked<I>>;

impl ComponentGuest {
    /// Where the next call runs: with an instance that waits, else in a new store around `fresh`.
    pub(super) fn place<I: Send + 'static>(
        &self,
        waiting: &Waiting<I>,
        context: CallContext,
        fresh: impl FnOnce(CallContext) -> ComponentState,
    ) -> Place<I> {
        let Some(Warm { instance: Parked { mut store, instance }, served }) = waiting.take() else {
            let mut store = call::store(&self.engine, fresh(context));
            if self.wasi == Wasi::P3 {
                super::p3::limit(&mut store);
            }
            return Place { store, instance: None, served: 0 };
        };
        store.data_mut().renew(context);
        store.set_epoch_deadline(1);
        Place { store, instance: Some(instance), served }
    }
}

impl<I: Send + 'static> Place<I> {
    /// The calls it has served.
    pub(super) fn served(&self) -> u32 {
        self.served
    }

    /// After a call that ended well: keeps the instance for another one, if it is fit for that.
    pub(super) fn park(self, waiting: &Waiting<I>) {
        let served = self.served + 1;
        self.park_after(served, waiting);
    }

    /// The same after several calls, `served` of them altogether.
    pub(super) fn park_after(mut self, served: u32, waiting: &Waiting<I>) {
        if let Some(instance) = self.instance
            && waiting.keeps_any()
            && self.store.data_mut().is_done_with_http()
        {
            waiting.park(Warm { instance: Parked { store: self.store, instance }, served });
        }
    }
}
