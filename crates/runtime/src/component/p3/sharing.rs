//! The instances of one actor that take several calls at once, and which of them takes the next call.
//!
//! Every call keeps its own task, which waits for the instance, so that deadlines, permits and readers that go away are
//! where they are for all calls. Invariant: a call is in one instance, with a slot, or outside.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};

use super::{
    answer::Head,
    shared_instance::{SharedInstance, Slot},
};
use crate::{call::outbound::CallContext, component::request::Request, error::ended::Failure, limits::GuestLimits};

/// The instances of one actor that take calls now. None for an actor whose instances serve one call at a time.
pub(super) struct Sharing {
    open: Mutex<Vec<Open>>,
    pub(super) most: u32,
    pub(super) calls_per_instance: u32,
}

/// An instance that takes calls.
#[derive(Clone)]
pub(super) struct Open {
    pub(super) shared: Arc<SharedInstance>,
    pub(super) door: mpsc::UnboundedSender<Call>,
    /// How it ended, once it has.
    pub(super) ended: watch::Receiver<Option<Result<(), Failure>>>,
}

/// One call on its way into an instance.
pub(super) struct Call {
    pub(super) request: Request,
    pub(super) head: oneshot::Sender<Head>,
    pub(super) context: CallContext,
    /// Told when it has come to its end.
    pub(super) done: oneshot::Sender<()>,
}

impl Sharing {
    pub(super) fn of(limits: &GuestLimits) -> Option<Self> {
        let (most, calls_per_instance) = (limits.concurrent_calls, limits.calls_per_instance);
        (most > 1 && calls_per_instance > 1).then(|| Self { open: Mutex::default(), most, calls_per_instance })
    }

    /// An instance with room for the call, else the one that is begun with it. Calls that come at once find each other.
    pub(super) fn join(&self, call: Call, begin: impl FnOnce(Call) -> (Open, Slot)) -> (Open, Slot) {
        let (mut all, mut outside) = (self.lock(), Some(call));
        for open in all.iter() {
            if let Some(slot) = open.enter(&mut outside) {
                return (open.clone(), slot);
            }
        }
        let (open, slot) = begin(outside.expect("a call is let in only with a slot"));
        all.retain(|open| open.shared.is_open());
        all.push(open.clone());
        (open, slot)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Takes the call that is outside, if there is room for it.
    pub(super) fn enter(&self, outside: &mut Option<Call>) -> Option<Slot> {
        let clock = outside.as_ref()?.request.clock.clone();
        self.shared.join(clock, || {
            // An instance may be gone before it was closed.
            *outside = outside.take().and_then(|call| self.door.send(call).err()).map(|back| back.0);
            outside.is_none()
        })
    }
}
