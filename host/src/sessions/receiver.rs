//! What arrives for the sessions of a host: handshakes, batches, and the word that nobody took one.
//!
//! Reads headers and hands on; decides nothing. Invariant: whatever arrives, the loops go on until the host ends: one
//! that stops still gets the answers it waits for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{Message, StatusCode, SubscribeError, Subscriber};
use futures_util::StreamExt;
use lattice::{
    session::{BatchKind, Header, Refusal, SessionError, Unknown},
    subject::RpcSubject,
};

use super::{Sessions, seen};
use crate::calls::Calls;

/// Signed words per second that a session is not known; further batches are dropped.
const WORDS_A_SECOND: u32 = 200;
/// How often sessions that are over are dropped.
const SWEEP: Duration = Duration::from_secs(60);

/// The subscriptions of a host for its sessions.
pub(super) struct Subscriptions {
    handshakes: Subscriber,
    calls: Subscriber,
    answers: Subscriber,
    nobody: Subscriber,
    seen: Subscriber,
}

impl Subscriptions {
    /// Subscribes. Needs no broker: subscriptions are sent as soon as it is there.
    pub(super) async fn make(sessions: &Sessions) -> Result<Self, SubscribeError> {
        let way = &sessions.way;
        let to = |subject: RpcSubject| way.client.subscribe(subject.render(&way.lattice));
        Ok(Self {
            handshakes: to(RpcSubject::Session(way.own)).await?,
            calls: to(RpcSubject::Calls(way.own)).await?,
            answers: to(RpcSubject::Answers(way.own)).await?,
            nobody: way.client.subscribe(format!("{}.*", way.inbox)).await?,
            seen: to(RpcSubject::Seen(way.own)).await?,
        })
    }

    /// Serves what arrives until `sessions` are closed.
    pub(super) async fn serve(self, calls: Arc<Calls>, sessions: Arc<Sessions>) {
        let serving = async {
            tokio::join!(
                answer_handshakes(&calls, &sessions, self.handshakes),
                take_calls(&calls, &sessions, self.calls),
                take_answers(&sessions, self.answers),
                hear_of_nobody(&sessions, self.nobody),
                seen::take(&calls, &sessions.way, self.seen),
                sessions.seen.tell(&sessions.way),
                follow_connection(&sessions),
                sweep(&calls, &sessions),
            )
        };
        tokio::select! {
            () = sessions.closed.cancelled() => {}
            _ = serving => {}
        }
    }
}

async fn answer_handshakes(calls: &Calls, sessions: &Sessions, mut handshakes: Subscriber) {
    while let Some(message) = handshakes.next().await {
        let (way, now) = (&sessions.way, Instant::now());
        let Some(reply) = message.reply else { continue };
        let answer = if calls.life.stop.is_cancelled() {
            Err(SessionError::Host)
        } else {
            let accepted = sessions.questions.accept(&message.payload, message.headers.as_ref(), way, now);
            let granted = accepted.and_then(|hello| sessions.serving.grant(&message.payload, &hello, now));
            granted.inspect_err(|error| way.refuse(error))
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if sessions.questions.is_worth_an_answer(&error, now) => Refusal::of(&error).encode(),
            Err(_) => continue,
        };
        if let Err(error) = way.client.publish(reply, answer.into()).await {
            tracing::debug!(%error, "cannot answer a handshake");
        }
    }
}

async fn take_calls(calls: &Arc<Calls>, sessions: &Sessions, mut batches: Subscriber) {
    let mut words = Words { said: 0, since: Instant::now() };
    while let Some(message) = batches.next().await {
        take(calls, sessions, &message, &mut words).await;
    }
}

async fn take(calls: &Arc<Calls>, sessions: &Sessions, message: &Message, words: &mut Words) {
    let header = match header(message, BatchKind::Calls) {
        Ok(header) => header,
        Err(error) => return sessions.way.refuse(&error),
    };
    if let Err(error) = sessions.serving.take(calls, header.session, header.number, &message.payload) {
        sessions.way.refuse(&error);
        if error == SessionError::UnknownSession && words.one_more(Instant::now()) {
            say_unknown(sessions, message, header).await;
        }
    }
}

async fn take_answers(sessions: &Sessions, mut batches: Subscriber) {
    while let Some(message) = batches.next().await {
        let taken = header(&message, BatchKind::Answers).and_then(|header| {
            let session = sessions.outgoing(header.session).ok_or(SessionError::UnknownSession)?;
            Ok((session.take(&message.payload, header.number)?, session))
        });
        match taken {
            Ok((false, _)) => {}
            Ok((true, session)) => sessions.link(session.host).absent(&session, Instant::now()),
            Err(error) => sessions.way.refuse(&error),
        }
    }
}

fn header(message: &Message, expected: BatchKind) -> Result<Header, SessionError> {
    let header = Header::decode(&message.payload)?;
    if header.kind != expected {
        return Err(SessionError::Malformed { what: "batch", reason: "it came the wrong way" });
    }
    Ok(header)
}

/// Tells who sent a batch that its session is not known here, so that nothing of it was begun. Signed, because calls
/// are made again for it.
async fn say_unknown(sessions: &Sessions, message: &Message, header: Header) {
    let Some(reply) = &message.reply else { return };
    let way = &sessions.way;
    let word = Unknown {
        lattice: way.lattice.clone(),
        from: way.own,
        cluster: way.cluster_id,
        session: header.session,
        number: header.number,
    };
    if let Err(error) = way.client.publish(reply.clone(), word.encode(&way.cluster).into()).await {
        tracing::debug!(%error, "cannot say that a session is not known");
    }
}

/// On the reply subject of a batch: the broker found nobody, or the other host does not know the session.
async fn hear_of_nobody(sessions: &Arc<Sessions>, mut words: Subscriber) {
    while let Some(message) = words.next().await {
        let way = &sessions.way;
        let Some((id, number)) = way.parse_nobody(&message.subject) else { continue };
        let Some(session) = sessions.outgoing(id) else { continue };
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            session.not_taken(number);
            sessions.link(session.host).absent(&session, Instant::now());
            continue;
        }
        let parties = (&way.lattice, &session.host);
        if let Err(error) = Unknown::accept(&message.payload, parties, (id, number), &way.trusted) {
            way.refuse(&error);
            continue;
        }
        session.not_taken(number);
        if sessions.link(session.host).lost(&session) {
            session.forgotten();
            sessions.prepare(session.host);
        }
    }
}

/// Calls that wait end when the connection does: their answers would come to nobody.
async fn follow_connection(sessions: &Sessions) {
    let mut connected = sessions.way.connected.clone();
    loop {
        if !*connected.borrow_and_update() {
            for session in &sessions.outgoing {
                session.interrupt("NATS is away");
            }
        }
        if connected.changed().await.is_err() {
            return;
        }
    }
}

async fn sweep(calls: &Calls, sessions: &Sessions) {
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        let now = ticks.tick().await.into_std();
        sessions.links.retain(|host, link| link.load() > 0 || calls.peers.is_member(host));
        sessions.outgoing.retain(|_, session| !session.is_over(now));
        sessions.busy.retain(|_, until| now < *until);
    }
}

/// How many words were said in this second.
struct Words {
    said: u32,
    since: Instant,
}

impl Words {
    fn one_more(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            *self = Self { said: 0, since: now };
        }
        self.said += 1;
        self.said <= WORDS_A_SECOND
    }
}
