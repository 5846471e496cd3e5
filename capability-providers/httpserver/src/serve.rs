//! One request: whose it is, whether it is let through, the call, and the response made fit to send.
//!
//! Bodies pass through as streams. Invariant: every request is answered by the time that its link gives, counted from
//! the last thing that its client sent.

use std::{
    convert::Infallible,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use provider_sdk::{
    Actors, HttpBody, HttpTerms,
    contracts::{CallError, budget::NoRoom, http_message::Time},
};

use crate::{
    answer::{empty, failure, refusal},
    limits::{Limits, WINDOW},
    outgoing::{Outgoing, fit},
    request::{for_actor, refused},
    routing::{Route, Routes},
    turn::Turn,
    upload::{Progress, Upload},
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
        let routes = Arc::clone(&self.routes.read().unwrap_or_else(PoisonError::into_inner));
        let host = || request.uri().host().or_else(|| request.headers().get(header::HOST)?.to_str().ok());
        routes.find(host, request.uri().path()).map(Arc::clone)
    }

    fn terms(&self, route: &Route) -> HttpTerms {
        let link = &route.link;
        let time = |own: Option<Duration>, of_link, default, of_provider| match own {
            Some(limit) => Time { limit, name: of_link },
            None => Time { limit: default, name: of_provider },
        };
        let (head, pause) = (self.limits.timeout, self.limits.pause);
        HttpTerms {
            max_body: link.max_content_len,
            head: time(link.timeout, "`timeout_ms` of the link", head, "`timeout_ms` of the HTTP server"),
            pause: time(link.idle, "`idle_ms` of the link", pause, "`idle_ms` of the HTTP server"),
        }
    }
}

/// Answers one request.
pub async fn serve(
    shared: Arc<Shared>,
    turn: Arc<Turn>,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Infallible> {
    let began = Instant::now();
    let calling = turn.call(began);
    let (response, pause) = answer(&shared, request, began).await;
    let response = Outgoing::begin(response, pause, |pause| turn.body(pause));
    drop(calling);
    Ok(response)
}

async fn answer(shared: &Shared, request: Request<Incoming>, began: Instant) -> (Response<HttpBody>, Duration) {
    let limits = &shared.limits;
    let to_head = *request.method() == Method::HEAD;
    let version = request.version();
    let ours = |refused| (fit(refused, to_head, version).unwrap_or_else(|error| failure(&error)), limits.pause);
    if let Some(refused) = refused(&request, limits) {
        return ours(refused);
    }
    let Some(route) = shared.route(&request) else {
        let sentence = format!("no actor is linked for `{:.200}`", request.uri().path());
        return ours(refusal(StatusCode::NOT_FOUND, "not_linked", &sentence));
    };
    let safe = matches!(*request.method(), Method::GET | Method::HEAD);
    if route.link.readonly && !safe {
        let mut refused = refusal(StatusCode::METHOD_NOT_ALLOWED, "readonly", "only GET and HEAD are let through");
        refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return ours(refused);
    }
    let terms = shared.terms(&route);
    let response = call(shared, &route, request, terms, began).await;
    let mut response = match fit(response, to_head, version) {
        Ok(response) => response,
        Err(error) => return ours(failure(&error)),
    };
    if let Some(value) = &route.cache_control
        && safe
        && response.status().is_success()
    {
        response.headers_mut().entry(header::CACHE_CONTROL).or_insert_with(|| value.clone());
    }
    (response, terms.pause.limit)
}

async fn call(
    shared: &Shared,
    route: &Route,
    request: Request<Incoming>,
    terms: HttpTerms,
    began: Instant,
) -> Response<HttpBody> {
    let limit = terms.max_body;
    let too_large = || refusal(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &format!("the body exceeds {limit} bytes"));
    if request.body().size_hint().lower() > limit {
        return too_large();
    }
    let (request, upload) = match received(for_actor(request), &terms, &shared.limits) {
        Ok(received) => received,
        Err(no_room) => return failure(&no_room.into()),
    };
    let answer = shared.actors.handle_http(&route.actor, request, terms);
    let outcome = match within(&terms, began, upload.as_deref(), answer).await {
        Some(outcome) => outcome,
        None => {
            let step = format!("waiting for `{}` ({})", route.actor, terms.head.name);
            Err(CallError::DeadlineExceeded { step })
        }
    };
    match outcome {
        Ok(response) => response,
        Err(_) if upload.as_ref().is_some_and(|upload| upload.is_exceeded()) => too_large(),
        Err(error) if upload.is_some_and(|upload| upload.is_stalled()) => {
            refusal(StatusCode::REQUEST_TIMEOUT, error.code(), &error.to_string())
        }
        Err(error) => {
            tracing::debug!(%error, code = error.code(), actor = %route.actor, "request failed");
            failure(&error)
        }
    }
}

/// Waits for an answer, after the last piece of the request; as long as more of it is waited for, that is its
/// client's time.
async fn within<T>(
    terms: &HttpTerms,
    began: Instant,
    upload: Option<&Progress>,
    answer: impl Future<Output = T>,
) -> Option<T> {
    let last = || {
        let (moved, time) = match upload {
            Some(upload) if upload.is_awaited() => (upload.moved(), terms.head.limit.max(terms.pause.limit)),
            Some(upload) => (upload.moved(), terms.head.limit),
            None => (began, terms.head.limit),
        };
        moved.checked_add(time).map(|last| last + SLACK)
    };
    let mut answer = std::pin::pin!(answer);
    loop {
        let Some(until) = last() else { return Some(answer.await) };
        match tokio::time::timeout_at(until.into(), &mut answer).await {
            Ok(answer) => return Some(answer),
            Err(_) if last().is_none_or(|last| last > until) => {}
            Err(_) => return None,
        }
    }
}

/// The request with a body that is bounded in size and in time.
fn received(
    request: Request<Incoming>,
    terms: &HttpTerms,
    limits: &Limits,
) -> Result<(Request<HttpBody>, Option<Arc<Progress>>), NoRoom> {
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return Ok((Request::from_parts(parts, empty()), None));
    }
    let window = if parts.version == Version::HTTP_2 { u64::from(WINDOW) } else { limits.header_bytes as u64 };
    let (upload, progress) = Upload::new(body, terms.max_body, terms.pause, window)?;
    Ok((Request::from_parts(parts, upload.boxed_unsync()), Some(progress)))
}
