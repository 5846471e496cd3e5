//! One instance for several calls: which instances are fit for another, and the place a call runs in.
//!
//! Knows nothing of who waits and for how long. Invariant: an instance that still holds a part of an HTTP exchange is not
//! used again.

use wasmtime::Store;

use super::state::ComponentState;
use crate::{
    call::outbound::CallContext,
    instances::waiting::{Idle, Warm},
};

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

impl<I: Send + 'static> Place<I> {
    /// Where the next call runs: with an instance that waits, else in a `fresh` store.
    pub(super) fn find(
        waiting: &Waiting<I>,
        context: CallContext,
        fresh: impl FnOnce(CallContext) -> Store<ComponentState>,
    ) -> Self {
        let Some(Warm { instance: Parked { mut store, instance }, served }) = waiting.take() else {
            return Self { store: fresh(context), instance: None, served: 0 };
        };
        store.data_mut().renew(context);
        store.set_epoch_deadline(1);
        Self { store, instance: Some(instance), served }
    }

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
