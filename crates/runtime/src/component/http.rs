//! HTTP into a component as a stream: `wasi:http/incoming-handler`.
//!
//! The guest goes on after the head of its answer is out, and belongs to the answer's body then. Invariants: no guest
//! outlives its time or an answer nobody reads any more; how it ends is told, whenever that is.

use std::{borrow::Borrow, future::poll_fn, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::Bytes;
use contracts::{
    CallError,
    http_message::{self, HttpBody, HttpTerms},
    httpserver::HANDLE_REQUEST,
};
use futures_util::FutureExt;
use http::{Method, header};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use tokio::{sync::oneshot, time::timeout_at};
use wasmtime_wasi_http::{
    WasiHttpView,
    p2::{bindings::http::types::ErrorCode, body::HyperOutgoingBody},
};

use super::{
    body::GuestBody,
    guest::ComponentGuest,
    request::{Request, for_guest, incoming},
    reuse::Place,
    running::Running,
    state::ComponentState,
};
use crate::{
    actor::Actor,
    call::{HasCall, clock::Clock, outbound::CallContext, watch::Watch},
    error::ended::{Failure, panic_text},
    schedule::{
        admitted::Admitted,
        background::{Bound, Work},
    },
};

/// How much later than its deadline a guest is given up whose answer is held in memory.
const GRACE: Duration = Duration::from_millis(20);

type Head = Result<http::Response<HyperOutgoingBody>, ErrorCode>;

/// How a request is to be answered.
pub(crate) struct Asked<'a, W> {
    /// Most bytes of the request's body.
    pub(crate) max_body: u64,
    /// None when all of it has one deadline.
    pub(crate) terms: Option<HttpTerms>,
    /// Taken once the head of the answer is there.
    pub(crate) watch: &'a mut Option<W>,
}

impl ComponentGuest {
    /// Starts the guest and returns its answer as soon as the head is there.
    pub(crate) async fn stream<W: Watch>(
        self: &Arc<Self>,
        actor: &Arc<Actor>,
        request: http::Request<HttpBody>,
        asked: Asked<'_, W>,
        context: CallContext,
        admitted: Admitted,
    ) -> Result<http::Response<HttpBody>, CallError> {
        let Asked { max_body, terms, watch } = asked;
        if http_message::announces_more_than(request.headers(), max_body) {
            return Err(http_message::body_too_large(max_body));
        }
        let clock = Clock::new(context.deadline, admitted.own_deadline(), terms);
        let to_head = request.method() == Method::HEAD;
        let request = Request { request: for_guest(request)?, max_body, clock: clock.clone() };
        let (guest, theirs, theirs_too) = (self.clone(), actor.clone(), clock.clone());
        if self.service.is_some() {
            let ((head, answer), admitted) = (oneshot::channel(), Arc::new(admitted));
            let run = |context| guest.serve(theirs, (request, head), context, admitted.clone());
            let running = started(actor, clock, admitted.clone(), run(context));
            return answered(answer, running, theirs_too, to_head, watch).await;
        }
        let (head, answer) = oneshot::channel();
        let run = async move { guest.exchange(&theirs, request, head, context).await };
        answered(answer, started(actor, clock, admitted, run), theirs_too, to_head, watch).await
    }

    async fn exchange(
        &self,
        actor: &Arc<Actor>,
        Request { request, max_body, clock }: Request,
        head: oneshot::Sender<Head>,
        context: CallContext,
    ) -> Result<(), Failure> {
        let Some(http) = &self.http else {
            let target = actor.id().to_owned();
            return Err(CallError::Unsupported { target, operation: HANDLE_REQUEST.to_owned() }.into());
        };
        let mut place = self.place(&self.idle_http, context, |context| ComponentState::new(actor, context));
        let Place { store, instance, .. } = &mut place;
        store.data_mut().call().follow(&clock);
        let run = async {
            let (scheme, request) = incoming(request, max_body, clock);
            let mut view = store.data_mut().http();
            let request = view.new_incoming_request(scheme, request)?;
            let answer = view.new_response_outparam(head)?;
            let proxy = match instance {
                Some(proxy) => proxy,
                None => instance.insert(http.instantiate_async(&mut *store).await?),
            };
            proxy.wasi_http_incoming_handler().call_handle(&mut *store, request, answer).await
        };
        match run.await {
            Ok(()) => {
                place.park(&self.idle_http);
                Ok(())
            }
            Err(error) => Err(self.failed(&error, place.store.data_mut().call(), HANDLE_REQUEST)),
        }
    }

    /// The message form of a request: the same guest, with argument and answer held in memory.
    pub(crate) async fn handle_message<W: Watch>(
        self: &Arc<Self>,
        actor: &Arc<Actor>,
        message: Bytes,
        context: CallContext,
        admitted: Admitted,
        watch: &mut Option<W>,
    ) -> Result<Bytes, CallError> {
        let request = http_message::decode_request(&message)?;
        drop(message);
        let (until, own) = (context.deadline, admitted.own_deadline());
        let asked = Asked { max_body: u64::MAX, terms: None, watch };
        let answer = self.stream(actor, request, asked, context, admitted).await?;
        let limit = actor.limits.response_bytes;
        // The guest has the same deadline and ends its answer with the cause; this is for when it is given no time to.
        let last = until.checked_add(GRACE).unwrap_or(until);
        let message = timeout_at(last.into(), http_message::encode_response(answer, limit)).await;
        message.map_err(|_| Clock::new(until, own, None).late(actor.id()))?
    }
}

/// The guest, up to the end of its time.
fn started(
    actor: &Arc<Actor>,
    clock: Arc<Clock>,
    admitted: impl Borrow<Admitted> + Send + 'static,
    run: impl Future<Output = Result<(), Failure>> + Send + 'static,
) -> Running {
    let schedule = admitted.borrow().schedule().clone();
    let (theirs, task) = (actor.clone(), Box::pin(until_over(actor.clone(), clock.clone(), admitted, Box::pin(run))));
    let task = async move {
        let late = || clock.late(theirs.id());
        let moved = || clock.deadline();
        let bound = Bound { deadline: clock.deadline(), moved: Some(&moved), late: &late };
        let ended = schedule.background.run_boxed(&theirs.runs_long, Some(bound), task).await;
        // Whoever noticed first, the clock knows which limit it was.
        let ended = ended.map_err(|failure| match failure.error {
            CallError::DeadlineExceeded { .. } => late().into(),
            _ => failure,
        });
        theirs.count_breach(&ended, clock.is_own());
        ended.map_err(CallError::from)
    };
    Running::new(task)
}

async fn until_over(
    actor: Arc<Actor>,
    clock: Arc<Clock>,
    admitted: impl Borrow<Admitted>,
    run: Work<()>,
) -> Result<(), Failure> {
    let run = AssertUnwindSafe(run).catch_unwind();
    let ended = tokio::select! {
        biased;
        ended = run => ended.unwrap_or_else(|panic| {
            let message = panic_text(&*panic);
            tracing::error!(actor = actor.id(), %message, "a host function panicked");
            Err(CallError::HostFault { message }.into())
        }),
        () = clock.is_over() => Err(clock.late(actor.id()).into()),
    };
    drop(admitted);
    ended
}

/// The answer as soon as its head is there, with what of its body is ready by then; the body owns the guest.
async fn answered<B, E, W>(
    mut head: oneshot::Receiver<Result<http::Response<B>, E>>,
    mut guest: Running,
    clock: Arc<Clock>,
    to_head: bool,
    watch: &mut Option<W>,
) -> Result<http::Response<HttpBody>, CallError>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: std::fmt::Display,
    W: Watch,
{
    let head = poll_fn(|cx| {
        guest.work(cx);
        head.poll_unpin(cx)
    });
    let head = match head.await {
        Ok(Ok(head)) => head,
        Ok(Err(code)) => {
            return Err(CallError::Reported { message: format!("the guest answered with the error {code}") });
        }
        // The guest is over without an answer; its end says why.
        Err(_) => {
            guest.ended().await?;
            return Err(CallError::Reported { message: "the guest ended without an answer".to_owned() });
        }
    };
    let (mut parts, body) = head.into_parts();
    http_message::check_status(parts.status)?;
    http_message::check_head(&parts.headers)?;
    let is_unread = !http_message::has_body(to_head, parts.status);
    let body = GuestBody::begin(body, &parts.headers, is_unread, guest, clock).await?;
    if let Some(watch) = watch {
        watch.answered(parts.status);
    }
    let length = body.length();
    let body = body.watched(watch.take());
    if !is_unread {
        return Ok(http::Response::from_parts(parts, body.boxed_unsync()));
    }
    if to_head && let Some(length) = length {
        parts.headers.entry(header::CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    discard(body);
    let nothing = Empty::new().map_err(|never| match never {});
    Ok(http::Response::from_parts(parts, nothing.boxed_unsync()))
}

/// Reads what nobody is to read, so that its guest comes to its end.
fn discard<B: Body + Unpin + Send + 'static>(mut body: B) {
    if !body.is_end_stream() {
        tokio::spawn(async move { while body.frame().await.is_some_and(|frame| frame.is_ok()) {} });
    }
}
