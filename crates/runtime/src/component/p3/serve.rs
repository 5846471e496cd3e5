//! Requests into instances of WASI 0.3: one instance for one request, or several at once for actors that chose it
//! (`concurrent_calls`).
//!
//! An instance that is shared has a task of its own. Invariant: the end of an instance, whatever it is, is told to each of
//! its calls, and no call outlives its own time because of another.

use std::{future::poll_fn, panic::AssertUnwindSafe, pin::pin, sync::Arc, task::Poll};

use contracts::{CallError, httpserver::HANDLE_REQUEST};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::sync::{mpsc, oneshot, watch};
use wasmtime::component::Accessor;
use wasmtime_wasi_http::p3::bindings;

use super::{
    answer::{Head, answer},
    shared_instance::{SharedInstance, Slot},
    sharing::{Call, Open, Sharing},
};
use crate::{
    actor::Actor,
    call::{HasCall, outbound::CallContext},
    component::{guest::ComponentGuest, request::Request, reuse::Place, state::ComponentState},
    error::ended::{Failure, deadline, panic_text},
    schedule::admitted::Admitted,
};

impl ComponentGuest {
    /// Runs the guest until it has answered and, if it is not shared, come to its end.
    pub(in crate::component) async fn serve(
        self: Arc<Self>,
        actor: Arc<Actor>,
        (request, head): (Request, oneshot::Sender<Head>),
        context: CallContext,
        admitted: Arc<Admitted>,
    ) -> Result<(), Failure> {
        let service = self.service.as_ref().expect("only a service is served by");
        if let Some(sharing) = &service.sharing {
            return self.serve_beside_others(sharing, &actor, (request, head), context, &admitted).await;
        }
        let mut place = self.place(&service.idle, context, |context| ComponentState::new(&actor, context));
        let Place { store, instance, .. } = &mut place;
        store.data_mut().call().follow(&request.clock);
        let run = async {
            let guest = match instance {
                Some(guest) => guest,
                None => instance.insert(service.pre.instantiate_async(&mut *store).await?),
            };
            let run = store.run_concurrent(async |instance| {
                answer(instance, guest, request, head).await?;
                // A guest may go on after its answer.
                poll_fn(|cx| instance.poll_no_interesting_tasks(cx)).await;
                Ok(())
            });
            run.await?
        };
        match run.await {
            Ok(()) => {
                place.park(&service.idle);
                Ok(())
            }
            Err(error) => Err(self.failed(&error, place.store.data_mut().call(), HANDLE_REQUEST)),
        }
    }
}

impl ComponentGuest {
    /// Has the call served in an instance beside others, or begins one.
    async fn serve_beside_others(
        self: &Arc<Self>,
        sharing: &Sharing,
        actor: &Arc<Actor>,
        (request, head): (Request, oneshot::Sender<Head>),
        context: CallContext,
        admitted: &Arc<Admitted>,
    ) -> Result<(), Failure> {
        let (done, is_done) = oneshot::channel();
        let call = Call { request, head, context, done };
        let (open, slot) = sharing.join(call, |call| self.begin(sharing, actor, call, admitted));
        if is_done.await.is_ok() {
            slot.done();
            return Ok(());
        }
        let mut ended = open.ended;
        let ended = ended.wait_for(Option::is_some).await.ok().and_then(|ended| ended.clone());
        ended.unwrap_or_else(|| Err(CallError::HostFault { message: "the instance is gone".to_owned() }.into()))
    }

    /// Begins an instance with this call in it.
    fn begin(
        self: &Arc<Self>,
        sharing: &Sharing,
        actor: &Arc<Actor>,
        call: Call,
        admitted: &Arc<Admitted>,
    ) -> (Open, Slot) {
        let service = self.service.as_ref().expect("only a service is shared");
        let place = self.place(&service.idle, call.context.clone(), |context| ComponentState::new(actor, context));
        let shared = SharedInstance::new(sharing.most, sharing.calls_per_instance, place.served());
        let (door, calls) = mpsc::unbounded_channel();
        let (tell, ended) = watch::channel(None);
        let open = Open { shared: shared.clone(), door, ended };
        let slot = open.enter(&mut Some(call)).expect("an instance that waits may serve another call");
        let (guest, actor, admitted) = (self.clone(), actor.clone(), admitted.clone());
        // It ends with the last of its calls, or with their time.
        tokio::spawn(async move {
            let (schedule, theirs) = (admitted.schedule().clone(), actor.clone());
            let life = guest.live(actor, place, shared.clone(), calls);
            let ended = schedule.background.run(&theirs.runs_long, None, life).await;
            shared.shut();
            tell.send_replace(Some(ended));
            drop(admitted);
        });
        (open, slot)
    }

    /// The life of a shared instance, from its first call until it is at rest.
    async fn live(
        self: Arc<Self>,
        actor: Arc<Actor>,
        place: Place<bindings::Service>,
        shared: Arc<SharedInstance>,
        calls: mpsc::UnboundedReceiver<Call>,
    ) -> Result<(), Failure> {
        let life = AssertUnwindSafe(self.live_unguarded(&actor, place, &shared, calls)).catch_unwind();
        life.await.unwrap_or_else(|panic| {
            let message = panic_text(&*panic);
            tracing::error!(actor = actor.id(), %message, "a host function panicked");
            Err(CallError::HostFault { message }.into())
        })
    }

    async fn live_unguarded(
        &self,
        actor: &Actor,
        mut place: Place<bindings::Service>,
        shared: &SharedInstance,
        calls: mpsc::UnboundedReceiver<Call>,
    ) -> Result<(), Failure> {
        let service = self.service.as_ref().expect("only a service is shared");
        let Place { store, instance, .. } = &mut place;
        let run = async {
            let guest = match instance {
                Some(guest) => guest,
                None => instance.insert(service.pre.instantiate_async(&mut *store).await?),
            };
            store.run_concurrent(async |instance| attend(instance, guest, shared, calls).await).await?
        };
        let ended = tokio::select! {
            biased;
            ended = run => ended,
            () = shared.is_over() => return Err(deadline(actor.id(), HANDLE_REQUEST).into()),
        };
        match ended {
            Ok(()) => {
                if let Some(served) = shared.fit_for_more() {
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
    shared: &SharedInstance,
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
            if shared.close(|| !calls.is_empty()) {
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
