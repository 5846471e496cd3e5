//! Several calls at once in one instance, for actors that chose it (`concurrent_calls`).
//!
//! An instance that is shared has a task of its own. Every call keeps its own task, which waits for it, so that deadlines,
//! permits and readers that go away are where they are for all calls. Invariant: the end of an instance, whatever it is,
//! is told to each of its calls, and no call outlives its own time because of another.

use std::{
    future::poll_fn,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
};

use contracts::{CallError, httpserver::HANDLE_REQUEST};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::sync::{mpsc, oneshot, watch};
use wasmtime::component::Accessor;
use wasmtime_wasi_http::p3::bindings;

use super::{
    crowd::{Crowd, Seat},
    http::{Head, answer},
};
use crate::{
    CallContext, GuestLimits,
    call::{Actor, HasCall},
    component::{ComponentGuest, ComponentState, http::Request, reuse::Place},
    error::deadline,
    guest::{Admitted, panic_text},
};

/// The instances of one actor that take calls now. None for an actor whose instances serve one call at a time.
pub(super) struct Sharing {
    open: Mutex<Vec<Open>>,
    most: u32,
    calls_per_instance: u32,
}

/// An instance that takes calls.
#[derive(Clone)]
struct Open {
    crowd: Arc<Crowd>,
    door: mpsc::UnboundedSender<Call>,
    /// How it ended, once it has.
    ended: watch::Receiver<Option<Result<(), CallError>>>,
}

/// One call on its way into an instance.
struct Call {
    request: Request,
    head: oneshot::Sender<Head>,
    context: CallContext,
    /// Told when it has come to its end.
    done: oneshot::Sender<()>,
}

impl Sharing {
    pub(super) fn of(limits: &GuestLimits) -> Option<Self> {
        let (most, calls_per_instance) = (limits.concurrent_calls, limits.calls_per_instance);
        (most > 1 && calls_per_instance > 1).then(|| Self { open: Mutex::default(), most, calls_per_instance })
    }

    /// An instance with room for the call, else the one that is begun with it. Calls that come at once find each other.
    fn join(&self, call: Call, begin: impl FnOnce(Call) -> (Open, Seat)) -> (Open, Seat) {
        let (mut all, mut outside) = (self.lock(), Some(call));
        for open in all.iter() {
            if let Some(seat) = open.enter(&mut outside) {
                return (open.clone(), seat);
            }
        }
        let (open, seat) = begin(outside.expect("a call is let in only with a seat"));
        all.retain(|open| open.crowd.is_open());
        all.push(open.clone());
        (open, seat)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Takes the call that is outside, if there is room for it.
    fn enter(&self, outside: &mut Option<Call>) -> Option<Seat> {
        let clock = outside.as_ref()?.request.clock.clone();
        self.crowd.join(clock, || {
            // An instance may be gone before it was closed.
            *outside = outside.take().and_then(|call| self.door.send(call).err()).map(|back| back.0);
            outside.is_none()
        })
    }
}

impl ComponentGuest {
    /// Has the call served in an instance beside others, or begins one.
    pub(super) async fn serve_beside_others(
        self: &Arc<Self>,
        sharing: &Sharing,
        actor: &Arc<Actor>,
        (request, head): (Request, oneshot::Sender<Head>),
        context: CallContext,
        admitted: &Arc<Admitted>,
    ) -> Result<(), CallError> {
        let (done, is_done) = oneshot::channel();
        let call = Call { request, head, context, done };
        let (open, seat) = sharing.join(call, |call| self.begin(sharing, actor, call, admitted));
        if is_done.await.is_ok() {
            seat.done();
            return Ok(());
        }
        let mut ended = open.ended;
        let ended = ended.wait_for(Option::is_some).await.ok().and_then(|ended| ended.clone());
        ended.unwrap_or_else(|| Err(CallError::HostFault { message: "the instance is gone".to_owned() }))
    }

    /// Begins an instance with this call in it.
    fn begin(
        self: &Arc<Self>,
        sharing: &Sharing,
        actor: &Arc<Actor>,
        call: Call,
        admitted: &Arc<Admitted>,
    ) -> (Open, Seat) {
        let service = self.service.as_ref().expect("only a service is shared");
        let place = self.place(&service.idle, call.context.clone(), |context| ComponentState::new(actor, context));
        let crowd = Crowd::new(sharing.most, sharing.calls_per_instance, place.served());
        let (door, calls) = mpsc::unbounded_channel();
        let (tell, ended) = watch::channel(None);
        let open = Open { crowd: crowd.clone(), door, ended };
        let seat = open.enter(&mut Some(call)).expect("an instance that waits may serve another call");
        let (guest, actor, admitted) = (self.clone(), actor.clone(), admitted.clone());
        // It ends with the last of its calls, or with their time.
        tokio::spawn(async move {
            let (runtime, theirs) = (admitted.runtime().clone(), actor.clone());
            let life = guest.live(actor, place, crowd.clone(), calls);
            let ended = runtime.background.run(&theirs.habit, None, life).await;
            crowd.shut();
            tell.send_replace(Some(ended));
            drop(admitted);
        });
        (open, seat)
    }

    /// The life of a shared instance, from its first call until it is at rest.
    async fn live(
        self: Arc<Self>,
        actor: Arc<Actor>,
        place: Place<bindings::Service>,
        crowd: Arc<Crowd>,
        calls: mpsc::UnboundedReceiver<Call>,
    ) -> Result<(), CallError> {
        let life = AssertUnwindSafe(self.live_unguarded(&actor, place, &crowd, calls)).catch_unwind();
        life.await.unwrap_or_else(|panic| {
            let message = panic_text(&*panic);
            tracing::error!(actor = actor.id(), %message, "a host function panicked");
            Err(CallError::HostFault { message })
        })
    }

    async fn live_unguarded(
        &self,
        actor: &Actor,
        mut place: Place<bindings::Service>,
        crowd: &Crowd,
        calls: mpsc::UnboundedReceiver<Call>,
    ) -> Result<(), CallError> {
        let service = self.service.as_ref().expect("only a service is shared");
        let Place { store, instance, .. } = &mut place;
        let run = async {
            let guest = match instance {
                Some(guest) => guest,
                None => instance.insert(service.pre.instantiate_async(&mut *store).await?),
            };
            store.run_concurrent(async |instance| attend(instance, guest, crowd, calls).await).await?
        };
        let ended = tokio::select! {
            biased;
            ended = run => ended,
            () = crowd.is_over() => return Err(deadline(actor.id(), HANDLE_REQUEST)),
        };
        match ended {
            Ok(()) => {
                if let Some(served) = crowd.fit_for_more() {
                    place.park_after(served, &service.idle);
                }
                Ok(())
            }
            Err(error) => Err(self.failed(&error, place.store.data_mut().call(), HANDLE_REQUEST)),
        }
    }
}

/// Serves whoever comes in, until nobody is left and nothing goes on.
async fn attend(
    instance: &Accessor<ComponentState>,
    guest: &bindings::Service,
    crowd: &Crowd,
    mut calls: mpsc::UnboundedReceiver<Call>,
) -> wasmtime::Result<()> {
    let mut present = pin!(FuturesUnordered::new());
    poll_fn(|cx| {
        loop {
            while let Poll::Ready(Some(call)) = calls.poll_recv(cx) {
                present.push(attend_one(instance, guest, call));
            }
            match present.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(()))) => continue,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => {}
            }
            if instance.poll_no_interesting_tasks(cx).is_pending() {
                return Poll::Pending;
            }
            if crowd.close(|| !calls.is_empty()) {
                return Poll::Ready(Ok(()));
            }
        }
    })
    .await
}

async fn attend_one(
    instance: &Accessor<ComponentState>,
    guest: &bindings::Service,
    Call { request, head, context, mut done }: Call,
) -> wasmtime::Result<()> {
    instance.with(|mut store| {
        let state = store.data_mut();
        let until = state.call().until();
        state.join(context);
        request.clock.drive(&until);
        state.call().follow(&until);
    });
    let answered = tokio::select! {
        biased;
        // It has left; what it began goes on, but for nobody.
        () = done.closed() => return Ok(()),
        answered = answer(instance, guest, request, head) => answered,
    };
    // Whoever leaves in the middle of an answer has left work undone; and one may have left just now.
    if answered? {
        let _ = done.send(());
    }
    Ok(())
}
