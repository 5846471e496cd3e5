//! Asking another host for a session.
//!
//! Invariant: it ends within [`WITHIN`], and its link hears of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::RequestErrorKind;
use lattice::{
    session::{Granted, Hello, MAX_LIFETIME, Refusal},
    subject::RpcSubject,
};

use super::{Sessions, link::Link, outgoing::Outgoing};
use crate::process::clock::unix_now;

/// Longest wait for the answer.
const WITHIN: Duration = Duration::from_secs(2);

/// Makes a handshake with the host of a link.
pub(super) async fn ask(sessions: Arc<Sessions>, link: Arc<Link>) {
    match handshake(&sessions, &link).await {
        Ok(granted) => {
            tracing::debug!(host = %link.host, session = %granted.session, "session granted");
            let session = Outgoing::new(&sessions.way, granted, link.in_flight.clone(), Instant::now());
            sessions.outgoing.insert(session.id, session.clone());
            link.granted(session);
        }
        Err(reason) => {
            if link.failed(Instant::now()) == 1 {
                tracing::info!(host = %link.host, %reason, "no session; calls to this host are signed one by one");
            }
        }
    }
}

async fn handshake(sessions: &Sessions, link: &Link) -> Result<Granted, String> {
    let way = &sessions.way;
    let (question, asked) = Hello::ask(way.to(link.host), MAX_LIFETIME, &way.cluster, unix_now());
    let subject = RpcSubject::Session(link.host).render(&way.lattice);
    let proof = sessions.questions.prove(&question);
    let request = async_nats::Request::new().headers(proof).payload(question.into()).timeout(Some(WITHIN));
    let answer = way.client.send_request(subject, request).await.map_err(|error| match error.kind() {
        RequestErrorKind::NoResponders => "nobody answers handshakes there".to_owned(),
        RequestErrorKind::TimedOut => "no answer in time".to_owned(),
        _ => error.to_string(),
    })?;
    if let Ok(refusal) = Refusal::decode(&answer.payload) {
        return Err(format!("{} (`{}`)", refusal.sentence.escape_debug(), refusal.code.escape_debug()));
    }
    asked.granted(&answer.payload, &way.trusted).map_err(|error| {
        way.refuse(&error);
        error.to_string()
    })
}
