//! HTTP into a component as a stream: `wasi:http/incoming-handler`.
//!
//! The guest goes on after the head of its answer is out, and belongs to the answer's body then. Invariants: no guest
//! outlives its time or an answer nobody reads any more; how it ends is told, whenever that is.

use std::{
    borrow::Borrow,
    future::poll_fn,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use contracts::{
    CallError,
    http_message::{self, HttpTerms},
    httpserver::HANDLE_REQUEST,
};
use futures_util::FutureExt;
use http::{Method, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty};
use tokio::{sync::oneshot, time::timeout_at};
use wasmtime::component::Linker;
use wasmtime_wasi_http::{
    Error as HttpError, WasiBody, WasiHttpCtxView, WasiHttpView,
    p2::{
        add_only_http_to_linker_async,
        bindings::http::types::{ErrorCode, Scheme},
        body::HyperOutgoingBody,
    },
};

use super::{ComponentGuest, ComponentState, body::GuestBody, clock::Clock, reuse::Place, running::Running};
use crate::{
    CallContext, HttpBody, Watch,
    background::{Bound, Work},
    call::{Actor, HasCall},
    guest::{Admitted, panic_text},
};

/// The interfaces linked here, without their version.
pub(super) const INTERFACES: [&str; 2] = ["wasi:http/outgoing-handler", "wasi:http/types"];

pub(super) fn add_to_linker(linker: &mut Linker<ComponentState>) -> wasmtime::Result<()> {
    add_only_http_to_linker_async(linker)
}

impl WasiHttpView for ComponentState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.hooks.targets = self.targets.clone();
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

/// How much later than its deadline a guest is given up whose answer is held in memory.
const GRACE: Duration = Duration::from_millis(20);

type Head = Result<http::Response<HyperOutgoingBody>, ErrorCode>;

/// A request on its way into a guest.
pub(super) struct Request {
    pub(super) request: http::Request<HttpBody>,
    /// Most bytes of its body.
    pub(super) max_body: u64,
    pub(super) clock: Arc<Clock>,
}

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
    ) -> Result<(), CallError> {
        let Some(http) = &self.http else {
            let target = actor.id().to_owned();
            return Err(CallError::Unsupported { target, operation: HANDLE_REQUEST.to_owned() });
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
    run: impl Future<Output = Result<(), CallError>> + Send + 'static,
) -> Running {
    let runtime = admitted.borrow().runtime().clone();
    let (theirs, task) = (actor.clone(), Box::pin(until_over(actor.clone(), clock.clone(), admitted, Box::pin(run))));
    let task = async move {
        let late = || clock.late(theirs.id());
        let moved = || clock.deadline();
        let bound = Bound { deadline: clock.deadline(), moved: Some(&moved), late: &late };
        let ended = runtime.background.run_boxed(&theirs.habit, Some(bound), task).await;
        // Whoever noticed first, the clock knows which limit it was.
        let ended = ended.map_err(|error| match error {
            CallError::DeadlineExceeded { .. } => late(),
            other => other,
        });
        theirs.count_breach(&ended, clock.is_own());
        ended
    };
    Running::new(task)
}

async fn until_over(
    actor: Arc<Actor>,
    clock: Arc<Clock>,
    admitted: impl Borrow<Admitted>,
    run: Work<()>,
) -> Result<(), CallError> {
    let run = AssertUnwindSafe(run).catch_unwind();
    let ended = tokio::select! {
        biased;
        ended = run => ended.unwrap_or_else(|panic| {
            let message = panic_text(&*panic);
            tracing::error!(actor = actor.id(), %message, "a host function panicked");
            Err(CallError::HostFault { message })
        }),
        () = clock.is_over() => Err(clock.late(actor.id())),
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

/// The request as guests may see it: it names an authority that `wasi:http` takes, though neither HTTP/1.0 nor a message
/// need to name one.
fn for_guest(mut request: http::Request<HttpBody>) -> Result<http::Request<HttpBody>, CallError> {
    let named = http_message::names_authority(request.uri(), request.headers());
    let named =
        named.map_err(|error| CallError::Malformed { what: "HTTP request".to_owned(), reason: error.to_string() })?;
    if !named {
        request.headers_mut().insert(header::HOST, http::HeaderValue::from_static("localhost"));
    }
    Ok(request)
}

/// The request as the guest's host functions want it.
fn incoming(request: http::Request<HttpBody>, max_body: u64, clock: Arc<Clock>) -> (Scheme, http::Request<WasiBody>) {
    let scheme = if request.uri().scheme() == Some(&http::uri::Scheme::HTTPS) { Scheme::Https } else { Scheme::Http };
    (scheme, request.map(|body| bounded(body, max_body, clock)))
}

/// The body of a request, which is bounded, and moves the clock of its call.
pub(super) fn bounded(body: HttpBody, max_body: u64, clock: Arc<Clock>) -> WasiBody {
    let failed = |error: CallError| HttpError::InternalError(Some(error.to_string()));
    if body.is_end_stream() {
        return body.map_err(http_message::broken).map_err(failed).boxed_unsync();
    }
    Incoming { body, left: max_body, max_body, clock }.map_err(failed).boxed_unsync()
}

struct Incoming {
    body: HttpBody,
    left: u64,
    max_body: u64,
    clock: Arc<Clock>,
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = CallError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => {
                self.clock.awaits_request();
                return Poll::Pending;
            }
            Poll::Ready(frame) => frame,
        };
        self.clock.moved();
        let error = match frame {
            None => return Poll::Ready(None),
            Some(Err(error)) => http_message::broken(error),
            Some(Ok(frame)) => match self.left.checked_sub(frame.data_ref().map_or(0, |data| data.len() as u64)) {
                Some(left) => {
                    self.left = left;
                    return Poll::Ready(Some(Ok(frame)));
                }
                None => http_message::body_too_large(self.max_body),
            },
        };
        self.clock.request_failed(error.clone());
        Poll::Ready(Some(Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
