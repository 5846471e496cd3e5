//! One request: whose it is, whether it is let through, the call, and the response made fit to send.
//!
//! Bodies pass through as streams. Invariant: every request is answered within its link's timeout, and an actor cannot
//! break the framing of the connection its response travels on.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use provider_sdk::{Actors, HttpBody, contracts::CallError};

use crate::{
    answer::{failure, refusal},
    limits::Limits,
    routing::{Route, Routes},
};

/// How much longer than the callee's deadline we wait, so that its own, more telling error comes first.
const SLACK: Duration = Duration::from_millis(100);

/// What the connections of one address share.
pub struct Shared {
    /// The current routes; a reader clones the inner pointer, a change replaces it.
    pub routes: RwLock<Arc<Routes>>,
    /// The way to the actors.
    pub actors: Arc<dyn Actors>,
    /// Bounds of the listener.
    pub limits: Limits,
}

impl Shared {
    fn route(&self, request: &Request<Incoming>) -> Option<Arc<Route>> {
        // A panic while the lock is held is impossible: it guards one pointer.
        let routes = Arc::clone(&self.routes.read().unwrap_or_else(std::sync::PoisonError::into_inner));
        let host = || request.uri().host().or_else(|| request.headers().get(header::HOST)?.to_str().ok());
        routes.find(host, request.uri().path()).map(Arc::clone)
    }
}

/// Answers one request.
pub async fn serve(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<HttpBody>, Infallible> {
    let began = Instant::now();
    if let Some(refused) = malformed(&request) {
        return Ok(refused);
    }
    let Some(route) = shared.route(&request) else {
        let sentence = format!("no actor is linked for `{}`", request.uri().path());
        return Ok(refusal(StatusCode::NOT_FOUND, "not_linked", &sentence));
    };
    let safe = matches!(*request.method(), Method::GET | Method::HEAD);
    if route.link.readonly && !safe {
        let mut refused = refusal(StatusCode::METHOD_NOT_ALLOWED, "readonly", "only GET and HEAD are let through");
        refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(refused);
    }
    let head = *request.method() == Method::HEAD;
    let deadline = began + route.link.timeout.unwrap_or(shared.limits.timeout);
    let mut response = call(&shared, &route, request, deadline).await;
    sanitize(&mut response, head);
    if let Some(value) = &route.cache_control
        && safe
        && response.status().is_success()
    {
        response.headers_mut().entry(header::CACHE_CONTROL).or_insert_with(|| value.clone());
    }
    Ok(response)
}

/// Requests that no actor should see.
fn malformed(request: &Request<Incoming>) -> Option<Response<HttpBody>> {
    let sentence = if !request.uri().path().starts_with('/') {
        "the request target is not a path"
    } else if request.headers().get_all(header::HOST).iter().nth(1).is_some() {
        "more than one `host` header"
    } else {
        return None;
    };
    Some(refusal(StatusCode::BAD_REQUEST, "bad_request", sentence))
}

async fn call(shared: &Shared, route: &Route, request: Request<Incoming>, deadline: Instant) -> Response<HttpBody> {
    let limit = route.link.max_content_len;
    let too_large = || refusal(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &format!("the body exceeds {limit} bytes"));
    if request.body().size_hint().lower() > limit {
        return too_large();
    }
    let (request, exceeded) = for_actor(request, limit);
    let answer = shared.actors.handle_http(&route.actor, request, limit, deadline);
    let outcome = match tokio::time::timeout_at((deadline + SLACK).into(), answer).await {
        Ok(outcome) => outcome,
        Err(_) => Err(CallError::DeadlineExceeded { step: format!("waiting for `{}`", route.actor) }),
    };
    match outcome {
        Ok(response) => response,
        Err(_) if exceeded.is_some_and(|exceeded| exceeded.load(Ordering::Relaxed)) => too_large(),
        Err(error) => {
            tracing::debug!(%error, code = error.code(), actor = %route.actor, "request failed");
            failure(&error)
        }
    }
}

/// The request as actors get it: a path as target, a `host` header, a bounded body. The flag says that the bound was
/// met; only a body of unknown length has one.
fn for_actor(request: Request<Incoming>, limit: u64) -> (Request<HttpBody>, Option<Arc<AtomicBool>>) {
    let (mut parts, body) = request.into_parts();
    if parts.uri.authority().is_some() {
        let uri = std::mem::take(&mut parts.uri).into_parts();
        // Where target and header differ, the target counts, also for routing.
        if let Some(Ok(host)) = uri.authority.map(|authority| HeaderValue::from_str(authority.as_str())) {
            parts.headers.insert(header::HOST, host);
        }
        parts.uri = uri.path_and_query.map_or_else(|| Uri::from_static("/"), Uri::from);
    }
    if body.is_end_stream() {
        let empty = Empty::new().map_err(|never| match never {});
        return (Request::from_parts(parts, empty.boxed_unsync()), None);
    }
    if body.size_hint().upper().is_some() {
        return (Request::from_parts(parts, body.map_err(Into::into).boxed_unsync()), None);
    }
    let exceeded = Arc::new(AtomicBool::new(false));
    let bounded = Bounded { body, left: limit, exceeded: Arc::clone(&exceeded) };
    (Request::from_parts(parts, bounded.boxed_unsync()), Some(exceeded))
}

/// Takes away what would contradict the framing that the server chooses.
fn sanitize(response: &mut Response<HttpBody>, head: bool) {
    if response.status().is_informational() {
        let sentence = format!("the actor answered with status `{}`", response.status().as_u16());
        *response = refusal(StatusCode::INTERNAL_SERVER_ERROR, "malformed", &sentence);
        return;
    }
    let exact = response.body().size_hint().exact();
    let headers = response.headers_mut();
    for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
    if headers.contains_key(header::CONTENT_LENGTH) && !length_holds(headers, exact, head) {
        headers.remove(header::CONTENT_LENGTH);
    }
}

/// A response to `HEAD` announces a length without having a body.
fn length_holds(headers: &HeaderMap, exact: Option<u64>, head: bool) -> bool {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let (first, second) = (lengths.next(), lengths.next());
    let announced = first.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match (announced, second) {
        (Some(announced), None) => exact.is_none_or(|exact| exact == announced || (head && exact == 0)),
        _ => false,
    }
}

/// A body of unknown length that fails once it is longer than allowed.
struct Bounded {
    body: Incoming,
    left: u64,
    exceeded: Arc<AtomicBool>,
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            Some(Ok(frame)) => frame,
        };
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        match self.left.checked_sub(length) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            None => {
                self.exceeded.store(true, Ordering::Relaxed);
                Poll::Ready(Some(Err("the request body is too large".into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
