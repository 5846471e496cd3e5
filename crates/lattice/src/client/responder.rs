//! The serving side of calls: reading requests and sending answers, with large payloads through the object store.
//!
//! Owns envelope, payload and headers of what a host or provider serves; whether a call is allowed is decided by its
//! caller, between reading the envelope and fetching the payload. Invariants: nothing is fetched for a call that is not
//! believed, and no more than the limit; a payload that was fetched is believed only with its hash; payloads and results
//! that are held are charged to the [budget of all bodies](Budget::bodies); every request with a reply subject can be
//! answered, also one that cannot be read.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use async_nats::{
    Client, Message, Subject,
    client::{PublishError, PublishErrorKind},
};
use bytes::Bytes;
use claims::ClusterId;
use contracts::{Budget, CallError, text};

use super::{
    Noted, ReplayGuard,
    bodies::{Bodies, BodyError, StoredBody},
    headers,
};
use crate::{
    CHUNK_EXTRA_TIME, LatticeId,
    invocation::{
        DELEGATION_HEADER, Delegations, Invocation, InvocationError, InvocationResponse, UNKNOWN_INVOCATION, Verified,
    },
    is_chunked, subject,
};

/// Largest payload that is fetched unless set otherwise.
const MAX_BODY: u64 = 256 << 20;

/// Reads calls and answers them. Cheap to clone.
#[derive(Clone)]
pub struct RpcResponder {
    client: Client,
    bodies: Bodies,
    max_body: u64,
    lattice: LatticeId,
    /// Keys of provider processes that were seen; none where callers have none.
    delegations: Option<Arc<Delegations>>,
}

/// A call as it came in.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The call. Its `msg` is complete once [`RpcResponder::fetch_body`] has returned.
    pub invocation: Invocation,
    /// When the caller stops waiting, if it says so; counted from the arrival here.
    pub deadline: Option<Instant>,
    /// Where the answer goes.
    pub reply_to: ReplyTo,
    /// What is remembered of it, once it was accepted.
    pub noted: Option<Noted>,
}

/// Where the answer to a call goes. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyTo(Arc<Return>);

#[derive(Debug, PartialEq, Eq)]
struct Return {
    subject: Option<Subject>,
    invocation_id: String,
}

/// A call that is answered with an error before it is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Where the answer goes.
    pub reply_to: ReplyTo,
    /// What it says.
    pub error: CallError,
}

impl RpcResponder {
    /// Serves over NATS. Large payloads use the object store of `js_domain`.
    #[must_use]
    pub fn new(client: Client, lattice: &LatticeId, js_domain: Option<&str>) -> Self {
        let bodies = Bodies::new(client.clone(), lattice, js_domain);
        Self { client, bodies, max_body: MAX_BODY, lattice: lattice.clone(), delegations: None }
    }

    /// The same responder, which also takes calls of providers that sign with a key delegated to them.
    #[must_use]
    pub fn with_delegations(self) -> Self {
        Self { delegations: Some(Arc::default()), ..self }
    }

    /// The same responder with another limit for payloads that are fetched, in bytes.
    #[must_use]
    pub fn with_max_body(self, max_body: u64) -> Self {
        Self { max_body, ..self }
    }

    /// Reads a call, checks its signature, that it is no replay, and its payload, which is complete afterwards.
    /// Whether the target is the receiver and the origin may call it remains to be checked. `now` is in seconds since
    /// 1970.
    ///
    /// # Errors
    /// [`Rejected`], to be passed to [`RpcResponder::respond`].
    pub async fn accept(
        &self,
        message: &Message,
        now: u64,
        trusted: &BTreeSet<ClusterId>,
        replays: &ReplayGuard,
    ) -> Result<Incoming, Rejected> {
        let mut incoming = self.decode_request(message)?;
        let unauthorized = |reason: String| incoming.reply_to.reject(CallError::Unauthorized { reason });
        let verified = self.verify(&incoming.invocation, message, now, trusted);
        let verified = verified.map_err(|error| unauthorized(error.to_string()))?;
        let noted = replays.note(&verified, &incoming.invocation.encoded_claims, now);
        incoming.noted = Some(noted.map_err(|error| unauthorized(error.to_string()))?);
        self.fetch_body(&mut incoming, &verified).await?;
        Ok(incoming)
    }

    /// Whether a call is signed by a trusted key, or by one that such a key says stands for its caller.
    fn verify(
        &self,
        invocation: &Invocation,
        message: &Message,
        now: u64,
        trusted: &BTreeSet<ClusterId>,
    ) -> Result<Verified, InvocationError> {
        let header = message.headers.as_ref().and_then(|headers| headers.get(DELEGATION_HEADER));
        let (Some(delegations), Some(statement)) = (&self.delegations, header) else {
            return invocation.validate(now, trusted);
        };
        invocation.validate_of(now, |issuer| {
            let (statement, origin) = (statement.as_str(), &invocation.origin);
            trusted.contains(issuer)
                || delegations.check(statement, issuer, origin, &self.lattice, now, trusted).is_ok()
        })
    }

    /// Reads the envelope of a call. Does not wait.
    ///
    /// # Errors
    /// [`Rejected`] when it is no invocation.
    pub fn decode_request(&self, message: &Message) -> Result<Incoming, Rejected> {
        let reply_to =
            |id: &str| ReplyTo(Arc::new(Return { subject: message.reply.clone(), invocation_id: id.to_owned() }));
        let mut invocation = Invocation::decode(&message.payload).map_err(|error| {
            let what = "invocation".to_owned();
            reply_to(UNKNOWN_INVOCATION).reject(CallError::Malformed { what, reason: error.to_string() })
        })?;
        if invocation.trace_context.is_empty() {
            invocation.trace_context = headers::trace(message.headers.as_ref());
        }
        let deadline = headers::deadline(message.headers.as_ref(), Instant::now());
        Ok(Incoming { reply_to: reply_to(&invocation.id), invocation, deadline, noted: None })
    }

    /// Completes the payload of a call that is believed: fetches one that is in the object store, deletes it there,
    /// and checks it against the signed hash, as it checks that there is to be none. A payload that came with the call
    /// was checked with the signature.
    ///
    /// # Errors
    /// [`Rejected`] when it is missing, too large, or not the one that was signed.
    pub async fn fetch_body(&self, incoming: &mut Incoming, verified: &Verified) -> Result<(), Rejected> {
        let invocation = &mut incoming.invocation;
        let length = invocation.content_length;
        if !invocation.msg.is_empty() {
            let held = Budget::bodies().carry(std::mem::take(&mut invocation.msg));
            invocation.msg = held.map_err(|no_room| incoming.reply_to.reject(no_room.into()))?;
            return Ok(());
        }
        if length == 0 {
            return check(verified, &incoming.reply_to, &[]);
        }
        if length > self.max_body {
            let limit = format!("a request payload has at most {} bytes, this one {length}", self.max_body);
            return Err(incoming.reply_to.reject(CallError::LimitExceeded { limit }));
        }
        let ours = Instant::now() + CHUNK_EXTRA_TIME;
        let deadline = incoming.deadline.map_or(ours, |theirs| theirs.min(ours));
        let (body, _) = self
            .bodies
            .take(subject::request_object(&invocation.id), length, deadline.into())
            .await
            .map_err(|error| incoming.reply_to.reject(request_body_error(&error)))?;
        verified
            .check_body(&body)
            .map_err(|error| incoming.reply_to.reject(CallError::Unauthorized { reason: error.to_string() }))?;
        incoming.invocation.msg = body;
        Ok(())
    }

    /// Sends the answer to a call; a large result goes through the object store. Without reply subject there is
    /// nothing to do.
    ///
    /// # Errors
    /// [`CallError::Unreachable`] when the answer, or at least the news that it could not be stored, did not get out.
    pub async fn respond(&self, to: &ReplyTo, result: Result<Bytes, CallError>) -> Result<(), CallError> {
        let Some(subject) = &to.0.subject else { return Ok(()) };
        let (response, stored) = match result {
            Ok(body) if is_chunked(body.len() as u64) => self.store_result(to, body).await,
            Ok(body) => (Ok(InvocationResponse::success(&to.0.invocation_id, body)), None),
            Err(error) => (Err(error), None),
        };
        self.send(to, subject, response).await.map_err(|error| CallError::Unreachable {
            target: subject.to_string(),
            reason: format!("the answer cannot be sent: {error}"),
        })?;
        if let Some(stored) = stored {
            stored.keep();
        }
        Ok(())
    }

    /// Sends an answer; one that the server does not take becomes a failure that says so.
    async fn send(
        &self,
        to: &ReplyTo,
        subject: &Subject,
        response: Result<InvocationResponse, CallError>,
    ) -> Result<(), PublishError> {
        let error = match response {
            Ok(response) => match Budget::bodies().carry(response.encode()) {
                Ok(message) => match self.client.publish(subject.clone(), message).await {
                    Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                        let most = self.client.max_payload();
                        let limit =
                            format!("the NATS server takes messages of at most {most} bytes, the answer has more");
                        CallError::LimitExceeded { limit }
                    }
                    sent => return sent,
                },
                Err(no_room) => no_room.of_result(),
            },
            Err(error) => error,
        };
        let payload = InvocationResponse::failure(&to.0.invocation_id, text::tidy(error.to_string())).encode();
        match headers::of_failure(error.code()) {
            Some(headers) => self.client.publish_with_headers(subject.clone(), headers, payload).await,
            None => self.client.publish(subject.clone(), payload).await,
        }
    }

    async fn store_result(
        &self,
        to: &ReplyTo,
        body: Bytes,
    ) -> (Result<InvocationResponse, CallError>, Option<StoredBody>) {
        match self.store_large(&to.0.invocation_id, &body).await {
            Ok(stored) => {
                let content_length = body.len() as u64;
                let empty = InvocationResponse::success(&to.0.invocation_id, Bytes::new());
                (Ok(InvocationResponse { content_length, ..empty }), Some(stored))
            }
            Err(error) => (Err(error), None),
        }
    }

    /// Stores the result of the call `id` where its caller looks for one that is too large for a message. It is deleted
    /// again unless [`StoredBody::keep`] says that the caller was told.
    ///
    /// # Errors
    /// [`CallError::DeadlineExceeded`] and [`CallError::HostFault`].
    pub async fn store_large(&self, id: &str, body: &Bytes) -> Result<StoredBody, CallError> {
        let deadline = Instant::now() + CHUNK_EXTRA_TIME;
        let object = subject::response_object(id);
        self.bodies.store(&object, body, deadline.into()).await.map_err(|error| match error {
            BodyError::Deadline => CallError::DeadlineExceeded { step: "storing the response payload".to_owned() },
            error => {
                let message = format!("cannot store the response payload of {} bytes: {error}", body.len());
                CallError::HostFault { message }
            }
        })
    }

    /// Reads the result of the call `id` that its callee stored, and has it deleted.
    ///
    /// # Errors
    /// [`CallError::DeadlineExceeded`], [`CallError::NoRoom`] while too many bodies are under way, and
    /// [`CallError::Malformed`] for one that is missing or another than announced.
    pub async fn fetch_large(&self, id: &str, length: u64, deadline: Instant) -> Result<Bytes, CallError> {
        if length > self.max_body {
            let limit = format!("a response payload has at most {} bytes, this one {length}", self.max_body);
            return Err(CallError::LimitExceeded { limit });
        }
        let object = subject::response_object(id);
        let (body, _) = self.bodies.take(&object, length, deadline.into()).await.map_err(|error| match error {
            BodyError::Deadline => CallError::DeadlineExceeded { step: "reading the response payload".to_owned() },
            BodyError::NoRoom(no_room) => no_room.of_result(),
            error => {
                let what = "response payload in the object store".to_owned();
                CallError::Malformed { what, reason: error.to_string() }
            }
        })?;
        Ok(body)
    }
}

impl ReplyTo {
    /// Whether the caller waits for an answer.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        self.0.subject.is_some()
    }

    /// The id that the answer carries.
    #[must_use]
    pub fn invocation_id(&self) -> &str {
        &self.0.invocation_id
    }

    /// The answer that the call is not carried out.
    #[must_use]
    pub fn reject(&self, error: CallError) -> Rejected {
        Rejected { reply_to: self.clone(), error }
    }
}

/// Without this an empty payload would pass for any: it is not covered when the signature is checked.
fn check(verified: &Verified, reply_to: &ReplyTo, body: &[u8]) -> Result<(), Rejected> {
    verified.check_body(body).map_err(|error| reply_to.reject(CallError::Unauthorized { reason: error.to_string() }))
}

fn request_body_error(error: &BodyError) -> CallError {
    match error {
        BodyError::Deadline => CallError::DeadlineExceeded { step: "reading the request payload".to_owned() },
        BodyError::NoRoom(no_room) => (*no_room).into(),
        BodyError::Store(_) | BodyError::Size { .. } | BodyError::Link => {
            CallError::Malformed { what: "request payload in the object store".to_owned(), reason: error.to_string() }
        }
    }
}
