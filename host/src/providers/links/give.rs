//! One change of one link, carried out at the provider. Decides nothing.

use std::{sync::Arc, time::Duration};

use claims::ActorId;
use lattice::{Link, control::Ack, subject::RpcSubject};
use provider_sdk::LinkRefused;

use super::slots::{Outcome, Step};
use crate::providers::{
    running::{Home, RunningProvider},
    table::Providers,
};

/// How long a provider process of ours may take to answer a link; others never answer.
const ANSWER_WITHIN: Duration = Duration::from_millis(1500);

/// What was done.
pub(super) struct Done {
    pub(super) actor: ActorId,
    /// The link the provider has now, and what it says about it; none: it has none.
    pub(super) given: Option<(Arc<Link>, Outcome)>,
    /// Whether a process answered at all; none when it was not asked.
    pub(super) answered: Option<bool>,
}

/// `speaks`: whether the process is known to answer links, or known not to.
pub(super) async fn carry_out(
    providers: Arc<Providers>,
    provider: Arc<RunningProvider>,
    step: Step,
    speaks: Option<bool>,
) -> Done {
    match step {
        Step::Delete { link } => {
            delete(&providers, &provider, &link).await;
            Done { actor: link.actor_id, given: None, answered: None }
        }
        Step::Put { link, before } => {
            let (outcome, answered) = match &provider.home {
                Home::Embedded(embedded) => (of(embedded.put_link(&link).await.err()), None),
                Home::Process(_) => {
                    let (outcome, answered) =
                        put_in_process(&providers, &provider, &link, before.as_ref(), speaks).await;
                    (outcome, Some(answered))
                }
            };
            Done { actor: link.actor_id, given: Some((link, outcome)), answered }
        }
    }
}

fn of(refused: Option<LinkRefused>) -> Outcome {
    match refused {
        None => Outcome::Served,
        Some(LinkRefused::Values(error)) => Outcome::Refused { retry: false, reason: error.to_string() },
        Some(LinkRefused::Unavailable { reason }) => Outcome::Refused { retry: true, reason },
    }
}

/// Gives a link to a process. `before` is another that it has in its place, which providers of ours replace without a gap;
/// those of other makers pass over a put for an actor they already know and say nothing (protocol section 7.5), so it
/// is deleted first.
async fn put_in_process(
    providers: &Providers,
    provider: &RunningProvider,
    link: &Link,
    before: Option<&Arc<Link>>,
    speaks: Option<bool>,
) -> (Outcome, bool) {
    if let (Some(before), Some(false)) = (before, speaks) {
        delete(providers, provider, before).await;
    }
    let mut answer = ask(providers, provider, link).await;
    if let (None, Some(before), None) = (&answer, before, speaks) {
        delete(providers, provider, before).await;
        answer = ask(providers, provider, link).await;
    }
    let outcome = match &answer {
        Some(ack) if ack.accepted => Outcome::Served,
        Some(ack) => Outcome::Refused { retry: true, reason: ack.error.clone() },
        None if speaks == Some(true) => Outcome::Unanswered,
        None => Outcome::Sent,
    };
    (outcome, answer.is_some())
}

async fn ask(providers: &Providers, provider: &RunningProvider, link: &Link) -> Option<Ack> {
    let spec = &provider.spec;
    let subject = RpcSubject::LinkPut { id: spec.id, link_name: spec.link_name.clone() };
    let answer = providers.nats.as_ref()?.ask(&subject, link.to_msgpack().into(), ANSWER_WITHIN).await?;
    Ack::from_reply(&answer).ok()
}

async fn delete(providers: &Providers, provider: &RunningProvider, link: &Link) {
    match &provider.home {
        Home::Embedded(embedded) => embedded.delete_link(&link.actor_id).await,
        Home::Process(_) => {
            let spec = &provider.spec;
            let subject = RpcSubject::LinkDel { id: spec.id, link_name: spec.link_name.clone() };
            if let Some(nats) = &providers.nats {
                nats.publish(&subject, link.to_msgpack().into()).await;
            }
        }
    }
}
