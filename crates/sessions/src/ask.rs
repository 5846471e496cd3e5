//! Asking another host for a session.
//!
//! Invariant: it ends within [`WITHIN`], and its link hears of it.

use std::{sync::Arc, time::Duration};

use lattice::{
    session::{Granted, Hello, MAX_LIFETIME, Refusal, SessionError},
    subject::RpcSubject,
};

use crate::{
    environment::{AskError, Environment},
    link::Link,
    outgoing::Outgoing,
    sessions::Sessions,
};

/// Longest wait for the answer.
const WITHIN: Duration = Duration::from_secs(2);

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
enum NoSession {
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The other host says no. It is a hint: nobody signed it.
    #[error("{} (`{}`)", .0.sentence.escape_debug(), .0.code.escape_debug())]
    Refused(Refusal),
    #[error(transparent)]
    Answer(#[from] SessionError),
}

/// Makes a handshake with the host of a link.
pub async fn ask<E: Environment>(sessions: Arc<Sessions<E>>, link: Arc<Link<E>>) {
    let context = &sessions.context;
    match handshake(&sessions, &link).await {
        Ok(granted) => {
            tracing::debug!(host = %link.host, session = %granted.session, "session granted");
            let session = Outgoing::new(context, granted, link.in_flight.clone(), context.env.now());
            sessions.outgoing.insert(session.id, session.clone());
            link.granted(session);
        }
        Err(error) => {
            if let NoSession::Answer(error) = &error {
                context.refuse(error);
            }
            if link.failed(context.env.now()) == 1 {
                tracing::info!(host = %link.host, %error, "no session; calls to this host are signed one by one");
            }
        }
    }
}

async fn handshake<E: Environment>(sessions: &Sessions<E>, link: &Link<E>) -> Result<Granted, NoSession> {
    let (env, own) = (&sessions.context.env, &sessions.context.own);
    let (question, asked) = Hello::ask(sessions.context.to(link.host), MAX_LIFETIME, &own.cluster, env.unix_now());
    let subject = RpcSubject::Session(link.host).render(&own.lattice);
    let proof = sessions.questions.prove(&question);
    let answer = env.ask(subject, proof, question.into(), WITHIN).await?;
    if let Ok(refusal) = Refusal::decode(&answer) {
        return Err(NoSession::Refused(refusal));
    }
    Ok(asked.granted(&answer, &own.trusted)?)
}
