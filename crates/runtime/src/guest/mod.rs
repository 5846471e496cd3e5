//! A loaded actor: admission, deadline and panics around one call, whatever the kind.
//!
//! A call is polled in the task of its caller: the guest runs on a stack of its own and yields at every tick, so a task
//! of its own would buy nothing and cost a wake-up each way. (A streamed HTTP answer outlives its call and does get
//! one; a call that computes for long is moved, see `schedule/background.rs`.) Invariant: a permit is held from before
//! instantiation until the instance is gone.

pub(crate) mod code_in_memory;
mod code_registry;
mod enter;
mod kept;
pub(crate) mod linked;
pub(crate) mod platform;
mod run;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use bytes::Bytes;
use contracts::{
    CallError,
    http_message::{self, HttpBody, HttpTerms, Time},
    httpserver::HANDLE_REQUEST,
};
use tokio::time::timeout_at;

use self::{
    code_in_memory::CodeInMemory,
    linked::{Body, GuestKind},
    platform::Platform,
};
use crate::{
    actor::Actor,
    call::{clock::OWN, outbound::CallContext, watch::Watch},
    compiled::{CodeOrigin, live_code::Key},
    component::http::Asked,
    error::ended::{Broken, Failure, deadline},
    limits::{GuestLimits, names::Limit},
    schedule::{admission::Admission, background::Bound, fairness::Member},
};

/// A loaded actor. Cheap to clone.
#[derive(Clone)]
pub struct Guest {
    shared: Arc<Loaded>,
}

struct Loaded {
    platform: Arc<Platform>,
    actor: Arc<Actor>,
    admission: Arc<Admission>,
    _member: Member,
    code: Arc<CodeInMemory>,
    origin: CodeOrigin,
    kind: GuestKind,
    serves_http: bool,
    takes_calls: bool,
}

impl Guest {
    pub(crate) fn new(platform: Arc<Platform>, actor: Arc<Actor>, body: Body, key: Key, origin: CodeOrigin) -> Self {
        let admission = Admission::new(bounded(actor.limits.max_concurrent, &platform), actor.limits.queue);
        let (kind, serves_http, takes_calls) = (body.kind(), body.serves_http(), body.takes_calls());
        let code = CodeInMemory::new(platform.clone(), actor.clone(), body, key);
        let _member = platform.schedule.fairness.add(&admission);
        Self {
            shared: Arc::new(Loaded {
                platform,
                actor,
                admission,
                _member,
                code,
                origin,
                kind,
                serves_http,
                takes_calls,
            }),
        }
    }

    /// Module or component.
    #[must_use]
    pub fn kind(&self) -> GuestKind {
        self.shared.kind
    }

    /// Where its compiled code was from when it was loaded.
    #[must_use]
    pub fn code(&self) -> &CodeOrigin {
        &self.shared.origin
    }

    /// Whether its compiled code is in memory. Otherwise the next call loads it from the code cache.
    #[must_use]
    pub fn has_code_in_memory(&self) -> bool {
        self.shared.code.here().is_some()
    }

    /// Whether the guest exports `wasi:http/incoming-handler`. A module may still handle requests as messages.
    #[must_use]
    pub fn serves_http(&self) -> bool {
        self.shared.serves_http
    }

    /// Whether it is a module that exports `__guest_call`, which is given requests as messages.
    #[must_use]
    pub fn takes_calls(&self) -> bool {
        self.shared.takes_calls
    }

    /// Bounds the calls that run at once; `u32::MAX` leaves it to the host's pool, zero turns all calls away. Calls that
    /// run already are not touched.
    pub fn set_max_instances(&self, max_instances: u32) {
        self.shared.admission.set_limit(bounded(max_instances, &self.shared.platform));
    }

    /// How often its calls broke which limit, since it was loaded. Limits that held are not in it.
    #[must_use]
    pub fn breaches(&self) -> BTreeMap<Limit, u64> {
        self.shared.actor.broken_limits.snapshot()
    }

    /// What it may use.
    #[must_use]
    pub fn limits(&self) -> &GuestLimits {
        &self.shared.actor.limits
    }

    /// Calls running now.
    #[must_use]
    pub fn running(&self) -> u32 {
        self.shared.admission.running()
    }

    /// Resolves when no call runs; at once when none does.
    pub async fn quiet(&self) {
        self.shared.admission.quiet().await;
    }

    /// Calls that may run at once.
    #[must_use]
    pub fn max_instances(&self) -> u32 {
        self.shared.admission.limit()
    }

    /// Calls that wait for an instance.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared.admission.waiting()
    }

    /// Whether a call that comes now is turned away for want of room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shared.admission.is_full()
    }

    /// Calls the guest in a fresh instance. Dropping the future ends the guest.
    ///
    /// # Errors
    /// [`CallError`]: `busy` at once when the queue is full, `deadline_exceeded`, `trap`, `limit_exceeded`, `reported`
    /// for what the guest itself says, `host_fault` when this crate is at fault.
    pub async fn call(&self, operation: &str, payload: Bytes, context: CallContext) -> Result<Bytes, CallError> {
        self.call_watched(operation, payload, context, &mut None::<()>).await
    }

    /// The same. The watch is taken when a guest goes on, or may, after its answer to an HTTP request.
    ///
    /// # Errors
    /// As for [`Guest::call`].
    pub async fn call_watched<W: Watch>(
        &self,
        operation: &str,
        payload: Bytes,
        context: CallContext,
        watch: &mut Option<W>,
    ) -> Result<Bytes, CallError> {
        let actor = &self.shared.actor;
        let checked = check_payload(operation, &payload, actor.limits.payload_bytes);
        actor.count_breach(&checked, false);
        checked.map_err(CallError::from)?;
        let (context, own_deadline) = self.with_deadline(context);
        let admitted = self.admit(operation, context.deadline, own_deadline).await?;
        let body = self.body(operation, context.deadline).await?;
        if operation == HANDLE_REQUEST
            && let Body::Component(component) = &body
            && component.serves_http()
        {
            // Boxed, as below: what is rare and large would be moved with every call.
            return Box::pin(component.handle_message(actor, payload, context, admitted, watch))
                .await
                .map_err(CallError::tidied);
        }
        let late = || deadline(actor.id(), operation);
        let bound = Bound { deadline: context.deadline, moved: None, late: &late };
        let call = self.clone().guarded(body, operation.to_owned(), payload, context, admitted);
        let ended = self.shared.platform.schedule.background.run(&actor.runs_long, Some(bound), call).await;
        actor.count_breach(&ended, own_deadline);
        ended.map_err(|failure| failure.error.tidied())
    }

    /// Lets the guest answer an HTTP request, all of it until the deadline.
    ///
    /// # Errors
    /// As for [`Guest::answer_http`].
    pub async fn handle_http(
        &self,
        request: http::Request<HttpBody>,
        max_body: u64,
        context: CallContext,
    ) -> Result<http::Response<HttpBody>, CallError> {
        let (context, own) = self.with_deadline(context);
        self.answer(request, Asked { max_body, terms: None, watch: &mut None::<()> }, context, own).await
    }

    /// Lets the guest answer an HTTP request.
    ///
    /// A component gets the request as a stream, and the answer is returned as soon as its head is there; the body
    /// follows while the guest goes on, as long as it moves. Dropping the body before its end stops the guest. A module
    /// gets the message `HttpServer.HandleRequest`. `watch` is taken as soon as there is an answer, and told of the rest.
    ///
    /// # Errors
    /// As for [`Guest::call`]; `limit_exceeded` for a request body above the bound of the terms.
    pub async fn answer_http<W: Watch>(
        &self,
        request: http::Request<HttpBody>,
        terms: HttpTerms,
        context: CallContext,
        watch: &mut Option<W>,
    ) -> Result<http::Response<HttpBody>, CallError> {
        let own = Time { limit: self.shared.actor.limits.call_time, name: OWN };
        let (terms, (context, is_own)) = (terms.within(own), self.with_deadline(context));
        self.answer(request, Asked { max_body: terms.max_body, terms: Some(terms), watch }, context, is_own).await
    }

    async fn answer<W: Watch>(
        &self,
        request: http::Request<HttpBody>,
        asked: Asked<'_, W>,
        context: CallContext,
        own_deadline: bool,
    ) -> Result<http::Response<HttpBody>, CallError> {
        if self.shared.kind == GuestKind::Module {
            return self.answer_with_message(request, asked, context).await;
        }
        let unsupported = || {
            let target = self.shared.actor.id().to_owned();
            CallError::Unsupported { target, operation: HANDLE_REQUEST.to_owned() }
        };
        if !self.shared.serves_http {
            return Err(unsupported());
        }
        let admitted = self.admit(HANDLE_REQUEST, context.deadline, own_deadline).await?;
        let Body::Component(component) = self.body(HANDLE_REQUEST, context.deadline).await? else {
            return Err(unsupported());
        };
        component.stream(&self.shared.actor, request, asked, context, admitted).await.map_err(CallError::tidied)
    }

    async fn answer_with_message<W: Watch>(
        &self,
        request: http::Request<HttpBody>,
        Asked { max_body, terms, watch }: Asked<'_, W>,
        mut context: CallContext,
    ) -> Result<http::Response<HttpBody>, CallError> {
        let head_only = request.method() == http::Method::HEAD;
        let message = http_message::encode_request(request, max_body);
        let message = match &terms {
            // How long a request may stand still is the business of whoever receives it.
            Some(terms) => {
                let message = message.await?;
                context.deadline = terms.head.from_now();
                message
            }
            None => timeout_at(context.deadline.into(), message).await.map_err(|_| CallError::DeadlineExceeded {
                step: "the body of the request was being received".to_owned(),
            })??,
        };
        let answer = self.call(HANDLE_REQUEST, message, context).await;
        let answer = answer.map_err(|error| match (error, &terms) {
            (CallError::DeadlineExceeded { step }, Some(terms)) => {
                // The call saw a deadline that it was given, and does not know that it was the actor's own.
                if terms.head.name == OWN {
                    self.shared.actor.broken_limits.count(Limit::CallTime);
                }
                CallError::DeadlineExceeded { step: format!("{step} ({})", terms.head.name) }
            }
            (error, _) => error,
        })?;
        let answer = http_message::decode_response(&answer, head_only)?;
        if let Some(mut watch) = watch.take() {
            watch.answered(answer.status());
            watch.ended(Ok(()));
        }
        Ok(answer)
    }

    /// The context with the effective deadline, and whether that is the actor's own.
    fn with_deadline(&self, mut context: CallContext) -> (CallContext, bool) {
        let longest = Instant::now().checked_add(self.shared.actor.limits.call_time);
        let own = longest.filter(|longest| *longest < context.deadline);
        context.deadline = own.unwrap_or(context.deadline);
        (context, own.is_some())
    }
}

fn bounded(max_instances: u32, platform: &Platform) -> u32 {
    max_instances.min(platform.schedule.max_instances)
}

fn check_payload(operation: &str, payload: &Bytes, limit: u32) -> Result<(), Failure> {
    let len = payload.len().max(operation.len());
    if len > limit as usize {
        let Broken { limit, text } = Broken::of(Limit::Payload, limit);
        return Err(Broken { limit, text: format!("argument of {len} bytes, {text}") }.into());
    }
    Ok(())
}
