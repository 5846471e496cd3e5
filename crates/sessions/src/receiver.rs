//! What arrives for the sessions of a host: handshakes, batches, and the word that nobody took one.
//!
//! Reads headers and hands on; decides nothing. Invariant: whatever arrives, the loops go on until the host ends: one
//! that stops still gets the answers it waits for.

use std::{
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{Message, StatusCode, SubscribeError};
use futures_util::StreamExt;
use lattice::{
    session::{BatchKind, Header, Refusal, SessionError, Unknown},
    subject::RpcSubject,
};

use crate::{
    context::Context,
    environment::{Environment, OutMessage},
    seen,
    serve_call::ServeCall,
    sessions::Sessions,
};

/// Signed words per second that a session is not known; further batches are dropped.
const WORDS_A_SECOND: u32 = 200;
/// How often sessions that are over are dropped.
const SWEEP: Duration = Duration::from_secs(60);

/// The subscriptions of a host for its sessions.
pub struct Subscriptions<E: Environment> {
    handshakes: E::Messages,
    calls: E::Messages,
    answers: E::Messages,
    nobody: E::Messages,
    seen: E::Messages,
}

impl<E: Environment> Subscriptions<E> {
    /// Subscribes. Needs no broker: subscriptions are sent as soon as it is there.
    pub async fn make(context: &Context<E>) -> Result<Self, SubscribeError> {
        let own = &context.own;
        let to = |subject: RpcSubject| context.env.subscribe(subject.render(&own.lattice));
        Ok(Self {
            handshakes: to(RpcSubject::Session(own.host)).await?,
            calls: to(RpcSubject::Calls(own.host)).await?,
            answers: to(RpcSubject::Answers(own.host)).await?,
            nobody: context.env.subscribe(format!("{}.*", context.inbox)).await?,
            seen: to(RpcSubject::Seen(own.host)).await?,
        })
    }

    /// Serves what arrives until `sessions` are closed.
    pub async fn serve<H: ServeCall>(self, host: Arc<H>, sessions: Arc<Sessions<E>>) {
        let serving = async {
            tokio::join!(
                answer_handshakes(&*host, &sessions, self.handshakes),
                take_calls(&host, &sessions, self.calls),
                take_answers(&sessions, self.answers),
                hear_of_nobody(&sessions, self.nobody),
                seen::take(&*host, &sessions.context, self.seen),
                sessions.seen.tell(&sessions.context),
                follow_connection(&sessions),
                sweep(&*host, &sessions),
            )
        };
        tokio::select! {
            biased;
            () = sessions.closed.cancelled() => {}
            _ = serving => {}
        }
    }
}

async fn answer_handshakes<E: Environment>(host: &impl ServeCall, sessions: &Sessions<E>, mut handshakes: E::Messages) {
    while let Some(message) = handshakes.next().await {
        let (env, now) = (&sessions.context.env, sessions.context.env.now());
        let Some(reply) = &message.reply else { continue };
        let answer = match grant(host, sessions, &message, now) {
            Ok(answer) => answer,
            Err(error) if sessions.questions.is_worth_an_answer(&error, now) => Refusal::of(&error).encode(),
            Err(_) => continue,
        };
        if let Err(error) = env.publish(OutMessage::new(reply.as_str(), answer)).await {
            tracing::debug!(%error, "cannot answer a handshake");
        }
    }
}

fn grant<E: Environment>(
    host: &impl ServeCall,
    sessions: &Sessions<E>,
    question: &Message,
    now: Instant,
) -> Result<Vec<u8>, SessionError> {
    if !host.takes_sessions() {
        return Err(SessionError::Host);
    }
    let context = &sessions.context;
    let time = (now, context.env.unix_now());
    let accepted = sessions.questions.accept(&question.payload, question.headers.as_ref(), &context.own, time);
    let granted = accepted.and_then(|hello| sessions.serving.grant(&question.payload, &hello, now));
    granted.inspect_err(|error| context.refuse(error))
}

async fn take_calls<E: Environment>(host: &Arc<impl ServeCall>, sessions: &Sessions<E>, mut batches: E::Messages) {
    let mut words = Words { said: 0, since: sessions.context.env.now() };
    while let Some(message) = batches.next().await {
        take(host, sessions, &message, &mut words).await;
    }
}

async fn take<E: Environment>(
    host: &Arc<impl ServeCall>,
    sessions: &Sessions<E>,
    message: &Message,
    words: &mut Words,
) {
    let header = match header(message, BatchKind::Calls) {
        Ok(header) => header,
        Err(error) => return sessions.context.refuse(&error),
    };
    if let Err(error) = sessions.serving.take(host, header.session, header.number, &message.payload) {
        sessions.context.refuse(&error);
        if error == SessionError::UnknownSession && words.one_more(sessions.context.env.now()) {
            say_unknown(&sessions.context, message, header).await;
        }
    }
}

async fn take_answers<E: Environment>(sessions: &Sessions<E>, mut batches: E::Messages) {
    while let Some(message) = batches.next().await {
        let taken = header(&message, BatchKind::Answers).and_then(|header| {
            let session = sessions.outgoing(header.session).ok_or(SessionError::UnknownSession)?;
            Ok((session.take(&message.payload, header.number)?, session))
        });
        match taken {
            Ok((false, _)) => {}
            Ok((true, session)) => sessions.link(session.host).absent(&session, sessions.context.env.now()),
            Err(error) => sessions.context.refuse(&error),
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
async fn say_unknown<E: Environment>(context: &Context<E>, message: &Message, header: Header) {
    let Some(reply) = &message.reply else { return };
    let own = &context.own;
    let word = Unknown {
        lattice: own.lattice.clone(),
        from: own.host,
        cluster: own.cluster_id,
        session: header.session,
        number: header.number,
    };
    if let Err(error) = context.env.publish(OutMessage::new(reply.as_str(), word.encode(&own.cluster))).await {
        tracing::debug!(%error, "cannot say that a session is not known");
    }
}

/// On the reply subject of a batch: the broker found nobody, or the other host does not know the session.
async fn hear_of_nobody<E: Environment>(sessions: &Arc<Sessions<E>>, mut words: E::Messages) {
    while let Some(message) = words.next().await {
        let (context, own) = (&sessions.context, &sessions.context.own);
        let Some((id, number)) = context.parse_nobody(&message.subject) else { continue };
        let Some(session) = sessions.outgoing(id) else { continue };
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            session.not_taken(number);
            sessions.link(session.host).absent(&session, context.env.now());
            continue;
        }
        let parties = (&own.lattice, &session.host);
        if let Err(error) = Unknown::accept(&message.payload, parties, (id, number), &own.trusted) {
            context.refuse(&error);
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
async fn follow_connection<E: Environment>(sessions: &Sessions<E>) {
    let mut connected = sessions.context.env.connected().clone();
    loop {
        if !*connected.borrow_and_update() {
            // Oldest first, so that a run of the simulation can be had again.
            let mut all: Vec<_> = sessions.outgoing.iter().map(|session| session.clone()).collect();
            all.sort_by_key(|session| (session.began(), session.host));
            all.iter().for_each(|session| session.interrupt("NATS is away"));
        }
        if connected.changed().await.is_err() {
            return;
        }
    }
}

async fn sweep<E: Environment>(host: &impl ServeCall, sessions: &Sessions<E>) {
    let env = &sessions.context.env;
    loop {
        env.timeout_at(env.now() + SWEEP, pending::<()>()).await;
        let now = env.now();
        sessions.links.retain(|host_id, link| link.load() > 0 || host.is_member(host_id));
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
