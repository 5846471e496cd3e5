//! Calling actors and providers over the lattice (protocol sections 4.1, 4.2, 4.7).
//!
//! Owns the way out and back of one signed invocation; signing and routing are the caller's. Invariants: a call ends
//! within its timeout (and the protocol's extra time when a payload goes through the object store), at once when there
//! is nobody or no connection, but for the moment in which a client that was just made connects; a small call costs one
//! message each way and nothing else.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use async_nats::{Client, HeaderMap, Message, RequestErrorKind, connection::State};
use bytes::Bytes;
use contracts::{Budget, CallError};
use tokio::time::Instant;

use super::{
    Denials, MAX_SOCKET_BODY, SocketClient, SocketError, SocketReply,
    bodies::{Bodies, BodyError},
    headers,
};
use crate::{
    CHUNK_EXTRA_TIME, LatticeId,
    invocation::{DEADLINE_HEADER, Invocation, InvocationResponse},
    is_chunked,
    subject::{self, RpcSubject},
    wire::WireError,
};

/// How long the first connection is waited for, from when the client was made.
const FIRST_CONNECTION: Duration = Duration::from_secs(1);
/// How often a call that waits looks whether the connection is still there.
const CONNECTION_CHECK: Duration = Duration::from_millis(50);
/// Longest wait for the deletion of a large answer that is already read: a tool may exit right after its call.
const DELETE_GRACE: Duration = Duration::from_secs(1);

/// Calls actors and providers of one lattice. Cheap to clone.
#[derive(Clone)]
pub struct RpcClient {
    way: Way,
    lattice: LatticeId,
    delegated: Delegated,
}

/// The statement for the key that calls are signed with, where that is a delegated one. Cheap to clone; all see a new one.
#[derive(Clone, Default)]
pub struct Delegated(Arc<RwLock<Option<Arc<str>>>>);

impl Delegated {
    /// Goes with every call from now on.
    pub fn set(&self, statement: &str) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(statement.into());
    }

    /// What goes with a call.
    #[must_use]
    pub fn get(&self) -> Option<Arc<str>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Clone)]
enum Way {
    Nats { client: Client, bodies: Bodies, denials: Denials, since: Instant },
    Socket(SocketClient),
}

impl RpcClient {
    /// Calls over NATS. Large payloads use the object store of `js_domain`.
    #[must_use]
    pub fn nats(client: Client, lattice: LatticeId, js_domain: Option<&str>) -> Self {
        let bodies = Bodies::new(client.clone(), &lattice, js_domain);
        let way = Way::Nats { client, bodies, denials: Denials::default(), since: Instant::now() };
        Self { way, lattice, delegated: Delegated::default() }
    }

    /// The same client, which knows what its server forbids and says so instead of waiting for an answer.
    #[must_use]
    pub fn with_denials(mut self, known: Denials) -> Self {
        if let Way::Nats { denials, .. } = &mut self.way {
            *denials = known;
        }
        self
    }

    /// The same client, which sends the statement for its key beside every call.
    #[must_use]
    pub fn with_delegated(self, delegated: Delegated) -> Self {
        Self { delegated, ..self }
    }

    /// Calls through the host on this machine, over its control socket. Payloads of any size travel in the message.
    pub fn socket(path: impl Into<PathBuf>, lattice: LatticeId) -> Self {
        Self { way: Way::Socket(SocketClient::new(path)), lattice, delegated: Delegated::default() }
    }

    /// Sends a signed invocation and returns the result.
    ///
    /// `timeout` is for the whole call; a payload that has to go through the object store, in either direction, gets
    /// [`CHUNK_EXTRA_TIME`] more. Dropping the future abandons the call; a stored payload is deleted then, too.
    ///
    /// # Errors
    /// [`CallError::NotRunning`] when nobody serves the subject, [`CallError::Unreachable`] without connection,
    /// [`CallError::DeadlineExceeded`], [`CallError::NoRoom`] while too many bodies are under way here,
    /// [`CallError::Malformed`] for an answer that is none, and whatever the other side reports.
    pub async fn invoke(
        &self,
        subject: &RpcSubject,
        invocation: Invocation,
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        self.invoke_unless(subject, invocation, timeout, &|| None).await
    }

    /// The same, given up once `lost` says why no answer can come any more. It is asked while the call waits, twenty times a
    /// second.
    ///
    /// # Errors
    /// As [`Self::invoke`], and [`CallError::Unreachable`] with what `lost` says.
    pub async fn invoke_unless(
        &self,
        subject: &RpcSubject,
        invocation: Invocation,
        timeout: Duration,
        lost: Lost<'_>,
    ) -> Result<Bytes, CallError> {
        let call = Call {
            id: invocation.id.clone(),
            target: invocation.target.public_key.clone(),
            subject: subject.render(&self.lattice),
            deadline: Instant::now() + timeout,
            extended: false,
            delegation: self.delegated.get(),
            lost,
        };
        match &self.way {
            Way::Nats { client, bodies, denials, since } => {
                call.begin(client, *since).await?;
                call.over_nats(client, bodies, denials, invocation).await
            }
            Way::Socket(socket) => call.over_socket(socket, invocation, timeout).await,
        }
    }
}

/// Why no answer to a call can come any more, if that is known.
pub type Lost<'l> = &'l (dyn Fn() -> Option<String> + Send + Sync);

/// One call on its way.
struct Call<'l> {
    id: String,
    target: String,
    subject: String,
    deadline: Instant,
    extended: bool,
    delegation: Option<Arc<str>>,
    lost: Lost<'l>,
}

impl Call<'_> {
    /// Goes on when there is a connection. Whoever has just started gets a moment for its first one.
    async fn begin(&self, client: &Client, since: Instant) -> Result<(), CallError> {
        if client.connection_state() == State::Pending {
            // What waits here was sent, or could not be, when the first connection is there.
            tokio::time::timeout_at(self.deadline.min(since + FIRST_CONNECTION), client.flush()).await.ok();
        }
        self.check_connection(client)
    }

    async fn over_nats(
        mut self,
        client: &Client,
        bodies: &Bodies,
        denials: &Denials,
        mut invocation: Invocation,
    ) -> Result<Bytes, CallError> {
        let mut stored = None;
        if is_chunked(invocation.msg.len() as u64) {
            self.extend();
            let body = std::mem::take(&mut invocation.msg);
            invocation.content_length = body.len() as u64;
            let storing = bodies.store(subject::request_object(&self.id), &body, self.deadline);
            stored = Some(storing.await.map_err(|error| self.body_error("storing the request payload", error))?);
        }
        let headers = headers::of_call(self.time_left(), &invocation.trace_context, self.delegation.as_deref());
        let request = Budget::bodies().carry(invocation.encode())?;
        drop(invocation);
        let message = self.request(client, denials, headers, request).await?;
        let code = headers::error_code(message.headers.as_ref());
        let response = self.read_response(InvocationResponse::decode(&message.payload), code)?;
        let result = match self.check_length(&response)? {
            Payload::Inline => Budget::bodies().carry(response.msg).map_err(|no_room| no_room.of_result())?,
            Payload::Stored => {
                self.extend();
                self.fetch(bodies, response.content_length).await?
            }
        };
        // Whoever answered with a result has read the request, and deletes it.
        if let Some(stored) = stored {
            stored.keep();
        }
        Ok(result)
    }

    async fn over_socket(
        self,
        socket: &SocketClient,
        invocation: Invocation,
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        let headers = [(DEADLINE_HEADER, headers::milliseconds(timeout))];
        let reply = socket.post(&self.subject, &headers, invocation.encode(), timeout).await;
        let (body, code) = match reply {
            Ok(SocketReply::Answer { body, error_code }) => (body, error_code),
            Ok(SocketReply::Silence) => return Err(self.malformed("it is empty")),
            Ok(SocketReply::Nobody) => return Err(self.not_running()),
            Err(error @ SocketError::TooLarge) => return Err(CallError::LimitExceeded { limit: error.to_string() }),
            Err(SocketError::TimedOut(_)) => return Err(self.deadline_exceeded(&self.waiting())),
            Err(error @ (SocketError::Connect(_) | SocketError::Broken(_))) => {
                return Err(self.unreachable(&error.to_string()));
            }
        };
        let response = InvocationResponse::decode_within(&body, MAX_SOCKET_BODY);
        let response = self.read_response(response, code.as_deref())?;
        match self.check_length(&response)? {
            Payload::Inline => Ok(response.msg),
            Payload::Stored => Err(self.malformed("its payload is in an object store that this client cannot reach")),
        }
    }

    /// One request and its answer, watching the connection meanwhile: an answer to a request of a lost connection
    /// does not come.
    async fn request(
        &self,
        client: &Client,
        denials: &Denials,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Message, CallError> {
        let since = denials.count();
        let request = async_nats::Request::new().payload(payload).headers(headers).timeout(Some(self.time_left()));
        let mut pending = std::pin::pin!(client.send_request(self.subject.clone(), request));
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut pending => break answer,
                () = tokio::time::sleep(CONNECTION_CHECK) => {
                    self.check_connection(client)?;
                    if let Some(reason) = (self.lost)() {
                        return Err(self.unreachable(&reason));
                    }
                    if let Some(forbidden) = denials.explain(&self.subject, since) {
                        let reason = forbidden.to_string();
                        return Err(CallError::Forbidden { subject: forbidden.subject, reason });
                    }
                }
            }
        };
        answer.map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => self.not_running(),
            RequestErrorKind::TimedOut => self.deadline_exceeded(&self.waiting()),
            RequestErrorKind::MaxPayloadExceeded => CallError::LimitExceeded {
                limit: format!("the NATS server takes messages of at most {} bytes", client.max_payload()),
            },
            RequestErrorKind::InvalidSubject | RequestErrorKind::Other => self.unreachable(&error.to_string()),
        })
    }

    fn read_response(
        &self,
        response: Result<InvocationResponse, WireError>,
        code: Option<&str>,
    ) -> Result<InvocationResponse, CallError> {
        let response = response.map_err(|error| self.malformed(&error.to_string()))?;
        // Before the id: who could not read the request does not know its id.
        if let Some(error) = response.error {
            return Err(CallError::from_wire(code, error));
        }
        if response.invocation_id != self.id {
            let theirs: String = response.invocation_id.chars().filter(|c| !c.is_control()).take(64).collect();
            return Err(self.malformed(&format!("invocation ID mismatch: sent `{}`, got `{theirs}`", self.id)));
        }
        Ok(response)
    }

    fn check_length(&self, response: &InvocationResponse) -> Result<Payload, CallError> {
        let (announced, inline) = (response.content_length, response.msg.len() as u64);
        match announced {
            _ if announced == inline => Ok(Payload::Inline),
            _ if inline == 0 && is_chunked(announced) => Ok(Payload::Stored),
            _ => Err(self.malformed(&format!("message size mismatch: announced {announced} bytes, got {inline}"))),
        }
    }

    async fn fetch(&self, bodies: &Bodies, length: u64) -> Result<Bytes, CallError> {
        let (body, deletion) = bodies
            .take(&subject::response_object(&self.id), length, self.deadline)
            .await
            .map_err(|error| self.body_error("reading the response payload", error))?;
        tokio::time::timeout(DELETE_GRACE, deletion).await.ok();
        Ok(body)
    }

    fn extend(&mut self) {
        if !self.extended {
            self.extended = true;
            self.deadline += CHUNK_EXTRA_TIME;
        }
    }

    fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn check_connection(&self, client: &Client) -> Result<(), CallError> {
        match client.connection_state() {
            State::Connected => Ok(()),
            State::Pending => Err(self.unreachable("NATS has not answered yet")),
            State::Disconnected => Err(self.unreachable("NATS is away")),
        }
    }

    fn waiting(&self) -> String {
        format!("waiting for the answer of `{}`", self.target)
    }

    fn not_running(&self) -> CallError {
        CallError::NotRunning { target: self.target.clone() }
    }

    fn unreachable(&self, reason: &str) -> CallError {
        CallError::Unreachable { target: self.target.clone(), reason: reason.to_owned() }
    }

    fn deadline_exceeded(&self, step: &str) -> CallError {
        CallError::DeadlineExceeded { step: step.to_owned() }
    }

    fn malformed(&self, reason: &str) -> CallError {
        CallError::Malformed { what: format!("answer of `{}`", self.target), reason: reason.to_owned() }
    }

    fn body_error(&self, step: &str, error: BodyError) -> CallError {
        match error {
            BodyError::Deadline => self.deadline_exceeded(step),
            BodyError::NoRoom(no_room) => no_room.of_result(),
            BodyError::Store(reason) => self.unreachable(&format!("{step} failed: {reason}")),
            BodyError::Size { .. } | BodyError::Link => self.malformed(&error.to_string()),
        }
    }
}

/// Where the result of a call is.
enum Payload {
    Inline,
    Stored,
}
