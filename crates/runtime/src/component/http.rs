//! HTTP into a component as a stream: `wasi:http/incoming-handler`.
//!
//! The guest goes on after the head of its answer is out, and belongs to the answer's body then. Invariant: no guest outlives its deadline or an answer nobody reads any more.

use std::{borrow::Borrow, future::poll_fn, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use bytes::Bytes;
use contracts::{CallError, http_message, httpserver::HANDLE_REQUEST};
use futures_util::FutureExt;
use http_body::Body;
use http_body_util::{BodyExt, Limited};
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

use super::{ComponentGuest, ComponentState, body::GuestBody, reuse::Place, running::Running};
use crate::{
    CallContext, HttpBody,
    background::{Bound, Work},
    call::{Actor, HasCall},
    error::deadline,
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

type Head = Result<http::Response<HyperOutgoingBody>, ErrorCode>;

/// A request on its way into a guest.
pub(super) struct Request {
    pub(super) request: http::Request<HttpBody>,
    /// Most bytes of its body.
    pub(super) max_body: u64,
}

impl ComponentGuest {
    /// Starts the guest and returns its answer as soon as the head is there.
    pub(crate) async fn stream(
        self: &Arc<Self>,
        actor: &Arc<Actor>,
        request: http::Request<HttpBody>,
        max_body: u64,
        context: CallContext,
        admitted: Admitted,
    ) -> Result<http::Response<HttpBody>, CallError> {
        if http_message::announces_more_than(request.headers(), max_body) {
            return Err(http_message::body_too_large(max_body));
        }
        let (guest, theirs, request) = (self.clone(), actor.clone(), Request { request, max_body });
        if self.service.is_some() {
            let ((head, answer), admitted) = (oneshot::channel(), Arc::new(admitted));
            let run = |context| guest.serve(theirs, (request, head), context, admitted.clone());
            return answered(answer, started(actor, context, admitted.clone(), run)).await;
        }
        let (head, answer) = oneshot::channel();
        let run = |context| async move { guest.exchange(&theirs, request, head, context).await };
        answered(answer, started(actor, context, admitted, run)).await
    }

    async fn exchange(
        &self,
        actor: &Arc<Actor>,
        Request { request, max_body }: Request,
        head: oneshot::Sender<Head>,
        context: CallContext,
    ) -> Result<(), CallError> {
        let Some(http) = &self.http else {
            let target = actor.id().to_owned();
            return Err(CallError::Unsupported { target, operation: HANDLE_REQUEST.to_owned() });
        };
        let mut place = self.place(&self.idle_http, context, |context| ComponentState::new(actor, context));
        let Place { store, instance, .. } = &mut place;
        let run = async {
            let (scheme, request) = incoming(request, max_body);
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
    pub(crate) async fn handle_message(
        self: &Arc<Self>,
        actor: &Arc<Actor>,
        message: Bytes,
        context: CallContext,
        admitted: Admitted,
    ) -> Result<Bytes, CallError> {
        let request = http_message::decode_request(&message)?;
        let until = context.deadline;
        let answer = self.stream(actor, request, u64::MAX, context, admitted).await?;
        let limit = actor.limits.response_bytes;
        let message = timeout_at(until.into(), http_message::encode_response(answer, limit)).await;
        message.map_err(|_| deadline(actor.id(), HANDLE_REQUEST))?
    }
}

/// The guest, up to its deadline.
fn started<F>(
    actor: &Arc<Actor>,
    context: CallContext,
    admitted: impl Borrow<Admitted> + Send + 'static,
    run: impl FnOnce(CallContext) -> F,
) -> Running
where
    F: Future<Output = Result<(), CallError>> + Send + 'static,
{
    let until = context.deadline;
    let (runtime, own_deadline) = (admitted.borrow().runtime().clone(), admitted.borrow().own_deadline());
    let (theirs, work) = (actor.clone(), Box::pin(run(context)));
    let task = Box::pin(until_deadline(actor.clone(), until, admitted, work));
    let task = async move {
        let late = || deadline(theirs.id(), HANDLE_REQUEST);
        let bound = Bound { deadline: until, late: &late };
        let ended = runtime.background.run_boxed(&theirs.habit, Some(bound), task).await;
        theirs.count_breach(&ended, own_deadline);
        ended
    };
    Running::new(task)
}

async fn until_deadline(
    actor: Arc<Actor>,
    until: Instant,
    admitted: impl Borrow<Admitted>,
    run: Work<()>,
) -> Result<(), CallError> {
    let run = AssertUnwindSafe(run).catch_unwind();
    let ended = match timeout_at(until.into(), run).await {
        Ok(Ok(ended)) => ended,
        Ok(Err(panic)) => {
            let message = panic_text(&*panic);
            tracing::error!(actor = actor.id(), %message, "a host function panicked");
            Err(CallError::HostFault { message })
        }
        Err(_) => Err(deadline(actor.id(), HANDLE_REQUEST)),
    };
    drop(admitted);
    if let Err(error) = &ended {
        // Whoever waits for the head is told as well; once the head is out this is the only trace.
        tracing::debug!(actor = actor.id(), %error, code = error.code(), "guest failed in an HTTP request");
    }
    ended
}

/// The answer as soon as its head is there, with what of its body is ready by then; the body owns the guest.
async fn answered<B, E>(
    mut head: oneshot::Receiver<Result<http::Response<B>, E>>,
    mut guest: Running,
) -> Result<http::Response<HttpBody>, CallError>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: std::fmt::Display,
{
    let head = poll_fn(|cx| {
        guest.work(cx);
        head.poll_unpin(cx)
    });
    match head.await {
        Ok(Ok(head)) => {
            let (parts, body) = head.into_parts();
            let body = GuestBody::begin(body, &parts.headers, guest).await;
            Ok(http::Response::from_parts(parts, body.boxed_unsync()))
        }
        Ok(Err(code)) => Err(CallError::Reported { message: format!("the guest answered with the error {code}") }),
        // The guest is over without an answer; its end says why.
        Err(_) => {
            guest.ended().await?;
            Err(CallError::Reported { message: "the guest ended without an answer".to_owned() })
        }
    }
}

/// The request as the guest's host functions want it.
fn incoming(mut request: http::Request<HttpBody>, max_body: u64) -> (Scheme, http::Request<WasiBody>) {
    let scheme = if request.uri().scheme() == Some(&http::uri::Scheme::HTTPS) { Scheme::Https } else { Scheme::Http };
    // Wanted by `wasi:http`, though neither HTTP/1.0 nor a message need to name one.
    if request.uri().authority().is_none() && !request.headers().contains_key(http::header::HOST) {
        request.headers_mut().insert(http::header::HOST, http::HeaderValue::from_static("localhost"));
    }
    let limit = usize::try_from(max_body).unwrap_or(usize::MAX);
    let request = request.map(|body| {
        let body = Limited::new(body, limit).map_err(|error| HttpError::InternalError(Some(error.to_string())));
        body.boxed_unsync()
    });
    (scheme, request)
}
