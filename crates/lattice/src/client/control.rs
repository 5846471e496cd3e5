//! Asking hosts: one request and its answer, or a question to everybody and all answers.
//!
//! Owns transports, timeouts and what counts as an answer; [`super::operations`] gives each operation its types.
//! Invariants: everything ends within the timeout; an error ack is never taken for data; an answer that cannot be read
//! does not hide the others.

use std::{path::PathBuf, time::Duration};

use async_nats::{Client, RequestErrorKind, StatusCode, connection::State};
use bytes::Bytes;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use super::{
    ControlError, Denials, SocketClient,
    roll::{Roll, RollReply},
    socket::SocketReply,
};
use crate::{
    control::Ack,
    subject::{ControlRoot, ControlSubject, HostCommand},
};

/// Answers that are kept at most; a lattice is smaller, so the rest is noise.
const MAX_ANSWERS: usize = 10_000;

/// A client of the control interface of one lattice. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ControlClient {
    pub(super) transport: Transport,
    pub(super) root: ControlRoot,
    pub(super) timeout: Duration,
}

#[derive(Debug, Clone)]
pub(super) enum Transport {
    Nats(Client, Denials),
    Socket(SocketClient),
}

/// All answers to a question that was put to everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathered<T> {
    /// One answer per host.
    pub replies: Vec<T>,
    /// Answers that could not be read, or that were refusals: what is wrong with each.
    pub problems: Vec<String>,
    /// Whether everybody known to those who answered has answered. `false` when time ran out first, and always when
    /// no host said whom it knows.
    pub complete: bool,
}

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self { replies: Vec::new(), problems: Vec::new(), complete: false }
    }
}

/// When to stop collecting before time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Everybody known has answered.
    Complete,
    /// Somebody has answered.
    First,
}

impl ControlClient {
    /// A client over NATS. `timeout` is for each request, and the longest a question to everybody takes.
    #[must_use]
    pub fn nats(client: Client, root: ControlRoot, timeout: Duration) -> Self {
        Self { transport: Transport::Nats(client, Denials::default()), root, timeout }
    }

    /// The same client, which knows what its server forbids and says so instead of waiting for an answer.
    #[must_use]
    pub fn with_denials(mut self, denials: Denials) -> Self {
        if let Transport::Nats(_, known) = &mut self.transport {
            *known = denials;
        }
        self
    }

    /// A client of the host on this machine, over its control socket.
    pub fn socket(path: impl Into<PathBuf>, root: ControlRoot, timeout: Duration) -> Self {
        Self { transport: Transport::Socket(SocketClient::new(path)), root, timeout }
    }

    /// The same client with another timeout.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// Where the control interface of the lattice is.
    #[must_use]
    pub fn root(&self) -> &ControlRoot {
        &self.root
    }

    /// Sends a request and returns the payload of its answer. A refusal is an error.
    pub(super) async fn request(&self, subject: &ControlSubject, payload: Vec<u8>) -> Result<Bytes, ControlError> {
        let reply = match &self.transport {
            Transport::Nats(client, denials) => self.request_nats(client, denials, subject, payload.into()).await?,
            Transport::Socket(socket) => {
                let reply = socket.post(&subject.render(&self.root), &[], payload.into(), self.timeout).await;
                match reply.map_err(|error| error.into_control(operation(subject)))? {
                    SocketReply::Answer { body, .. } => body,
                    SocketReply::Silence => Bytes::new(),
                    SocketReply::Nobody => return Err(self.nobody(subject)),
                }
            }
        };
        match Ack::refusal_in(&reply) {
            Some(message) => Err(ControlError::Refused { message }),
            None => Ok(reply),
        }
    }

    async fn request_nats(
        &self,
        client: &Client,
        denials: &Denials,
        subject: &ControlSubject,
        payload: Bytes,
    ) -> Result<Bytes, ControlError> {
        connected(client)?;
        let request = async_nats::Request::new().payload(payload).timeout(Some(self.timeout));
        let (text, since) = (subject.render(&self.root), denials.count());
        let answer = tokio::select! {
            biased;
            answer = client.send_request(text.clone(), request) => answer,
            forbidden = denials.explained(&text, since) => {
                return Err(ControlError::Forbidden { operation: operation(subject), forbidden });
            }
        };
        match answer {
            Ok(message) => Ok(message.payload),
            Err(error) => Err(match error.kind() {
                RequestErrorKind::NoResponders => self.nobody(subject),
                RequestErrorKind::TimedOut => {
                    ControlError::TimedOut { operation: operation(subject), after: self.timeout }
                }
                _ => ControlError::Disconnected { reason: error.to_string() },
            }),
        }
    }

    /// Sends a command and reads the ack.
    pub(super) async fn command(&self, subject: &ControlSubject, payload: Vec<u8>) -> Result<(), ControlError> {
        let reply = self.request(subject, payload).await?;
        let ack = Ack::from_reply(&reply).map_err(|reason| undecodable(subject, reason))?;
        match ack.kept_here {
            Some(reason) => Err(ControlError::KeptHere { reason }),
            None => Ok(()),
        }
    }

    /// Sends a query and reads its answer.
    pub(super) async fn query<T: DeserializeOwned>(&self, subject: &ControlSubject) -> Result<T, ControlError> {
        self.ask(subject, Vec::new()).await
    }

    /// Sends a query that says more than its subject, and reads its answer.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        subject: &ControlSubject,
        payload: Vec<u8>,
    ) -> Result<T, ControlError> {
        let reply = self.request(subject, payload).await?;
        if !crate::control::is_object(&reply) {
            return Err(undecodable(subject, "expected a JSON object"));
        }
        serde_json::from_slice(&reply).map_err(|error| undecodable(subject, error))
    }

    /// Asks everybody. Nobody listening at all is an error; nobody answering is not.
    pub(super) async fn gather<T: RollReply>(
        &self,
        subject: &ControlSubject,
        payload: Vec<u8>,
        until: Until,
    ) -> Result<Gathered<T>, ControlError> {
        let mut roll = Roll::default();
        let mut gathered = Gathered::default();
        self.each_reply(subject, payload, |reply| {
            match read_roll_reply::<T>(reply) {
                Ok(reply) => {
                    if roll.note(reply.host(), reply.peers()) {
                        gathered.replies.push(reply);
                    }
                }
                Err(problem) => gathered.problems.push(problem),
            }
            gathered.complete = roll.is_complete();
            gathered.complete
                || (until == Until::First && !gathered.replies.is_empty())
                || gathered.replies.len() + gathered.problems.len() >= MAX_ANSWERS
        })
        .await?;
        Ok(gathered)
    }

    /// Hands every reply to `enough` until it says so or time is up.
    pub(super) async fn each_reply(
        &self,
        subject: &ControlSubject,
        payload: Vec<u8>,
        mut enough: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), ControlError> {
        let (client, denials) = match &self.transport {
            Transport::Nats(client, denials) => (client, denials),
            Transport::Socket(socket) => {
                let reply = socket.post(&subject.render(&self.root), &[], payload.into(), self.timeout).await;
                match reply.map_err(|error| error.into_control(operation(subject)))? {
                    SocketReply::Answer { body, .. } => {
                        enough(&body);
                    }
                    SocketReply::Silence => {}
                    SocketReply::Nobody => return Err(self.nobody(subject)),
                }
                return Ok(());
            }
        };
        connected(client)?;
        let lost = |error: &dyn std::fmt::Display| ControlError::Disconnected { reason: error.to_string() };
        let deadline = tokio::time::Instant::now() + self.timeout;
        let inbox = client.new_inbox();
        let mut replies = client.subscribe(inbox.clone()).await.map_err(|error| lost(&error))?;
        let (text, since) = (subject.render(&self.root), denials.count());
        client.publish_with_reply(text.clone(), inbox, payload.into()).await.map_err(|error| lost(&error))?;
        loop {
            let reply = tokio::select! {
                biased;
                reply = replies.next() => reply,
                forbidden = denials.explained(&text, since) => {
                    return Err(ControlError::Forbidden { operation: operation(subject), forbidden });
                }
                () = tokio::time::sleep_until(deadline) => break,
            };
            let reply = reply.ok_or_else(|| lost(&"the subscription ended"))?;
            if reply.status == Some(StatusCode::NO_RESPONDERS) {
                return Err(self.nobody(subject));
            }
            if enough(&reply.payload) {
                break;
            }
        }
        Ok(())
    }

    /// Nobody handles this subject.
    fn nobody(&self, subject: &ControlSubject) -> ControlError {
        let lattice = self.root.lattice().clone();
        match host_of(subject) {
            Some(host) => ControlError::HostAbsent { host, lattice },
            None => ControlError::NoHost { lattice, waited: None },
        }
    }
}

/// Fails at once while there is no connection, instead of filling the send queue and waiting.
pub(super) fn connected(client: &Client) -> Result<(), ControlError> {
    match client.connection_state() {
        State::Connected => Ok(()),
        State::Pending => Err(ControlError::Disconnected { reason: "NATS has not answered yet".to_owned() }),
        State::Disconnected => Err(ControlError::Disconnected { reason: "NATS is away".to_owned() }),
    }
}

pub(super) fn undecodable(subject: &ControlSubject, reason: impl ToString) -> ControlError {
    ControlError::Undecodable { operation: operation(subject), reason: reason.to_string() }
}

fn read_roll_reply<T: DeserializeOwned>(reply: &[u8]) -> Result<T, String> {
    if let Some(refusal) = Ack::refusal_in(reply) {
        return Err(refusal);
    }
    if !crate::control::is_object(reply) {
        return Err("expected a JSON object".to_owned());
    }
    serde_json::from_slice(reply).map_err(|error| error.to_string())
}

fn host_of(subject: &ControlSubject) -> Option<claims::HostId> {
    match subject {
        ControlSubject::Command(host, _)
        | ControlSubject::GetInventory(host)
        | ControlSubject::AskWhy(host)
        | ControlSubject::PutLabel(host)
        | ControlSubject::DeleteLabel(host) => Some(*host),
        _ => None,
    }
}

/// What a person calls it.
fn operation(subject: &ControlSubject) -> &'static str {
    match subject {
        ControlSubject::PingHosts => "ping hosts",
        ControlSubject::AuctionActor => "actor auction",
        ControlSubject::AuctionProvider => "provider auction",
        ControlSubject::Command(_, HostCommand::ScaleActor) => "scale actor",
        ControlSubject::Command(_, HostCommand::StopActor) => "stop actor",
        ControlSubject::Command(_, HostCommand::UpdateActor) => "update actor",
        ControlSubject::Command(_, HostCommand::StartProvider) => "start provider",
        ControlSubject::Command(_, HostCommand::StopProvider) => "stop provider",
        ControlSubject::Command(_, HostCommand::StopHost) => "stop host",
        ControlSubject::GetInventory(_) => "get inventory",
        ControlSubject::AskWhy(_) => "why",
        ControlSubject::PutLabel(_) => "put label",
        ControlSubject::DeleteLabel(_) => "delete label",
        ControlSubject::PutRegistries => "put registries",
        ControlSubject::PutLink => "put link",
        ControlSubject::DeleteLink => "delete link",
        ControlSubject::GetClaims => "get claims",
        ControlSubject::GetLinks => "get links",
        ControlSubject::PutConfig(_) => "put config",
        ControlSubject::DeleteConfig(_) => "delete config",
        ControlSubject::ClearConfig(_) => "clear config",
        ControlSubject::GetConfig(_) | ControlSubject::GetAllConfig(_) => "get config",
        ControlSubject::PutRevocations => "put revocations",
        ControlSubject::GetRevocations => "get revocations",
        ControlSubject::PutOwner => "transfer ownership",
    }
}
