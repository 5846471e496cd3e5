//! `get.{host}.why`: what this host knows of something that does not work.
//!
//! Looks and asks (the provider how it feels, the policy whether it would permit) and judges nothing. Invariant: ends
//! within a second or two, whatever does not answer.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use claims::{ActorId, PublicKey};
use contracts::mask;
use lattice::{
    Link,
    control::{
        Ack, ActorState, AskWhy, ForbiddenSubject, NatsProblem, NatsState, PolicyState, ProviderState, WhyReply,
        decode, encode,
    },
};

use lattice_state::revocations::Provenance;

use super::auction;
use crate::{
    control::face::Control,
    failures::Peer,
    providers::{Home, RunningProvider, health},
    trust::own_issuer,
};

/// For an answer of the provider: less than a client waits for ours.
const HEALTH_WITHIN: Duration = Duration::from_secs(1);

/// The answer. An empty question is about this host alone.
pub async fn answer(control: &Control, body: &Bytes) -> Vec<u8> {
    let question = if body.is_empty() { Ok(AskWhy::default()) } else { decode::<AskWhy>(body) };
    match question {
        Ok(question) => encode(&look(control, &question).await),
        Err(error) => encode(&Ack::refused(error)),
    }
}

async fn look(control: &Control, question: &AskWhy) -> WhyReply {
    let provider = linked_provider(control, question);
    let reference = question.reference.as_deref().map(str::trim);
    let provider_id = provider.as_ref().map(|(running, _)| running.spec.id);
    let failures = control.failures.about(question.actor.as_ref(), |peer| match peer {
        Peer::Start(started) => reference == Some(started),
        Peer::Provider { id, .. } => provider_id.as_ref() == Some(id),
        _ => false,
    });
    let (provider, policy) = tokio::join!(
        async { Some(feels(control, &provider.as_ref()?.0, &provider.as_ref()?.1).await) },
        permits(control, question),
    );
    WhyReply {
        nats: nats(control),
        actor: question.actor.as_ref().map(|actor| actor_state(control, actor)),
        callee: question.callee.as_ref().map(|actor| actor_state(control, actor)),
        provider,
        policy,
        failures,
        offer: question.offer.as_ref().map(|asked| auction::offer(control, asked)),
        rpc_timeout_ms: u64::try_from(control.calls.inbound.timeout.as_millis()).ok(),
        ..WhyReply::new(control.identity.host_id)
    }
}

fn nats(control: &Control) -> NatsState {
    let Some(nats) = &control.calls.nats else { return NatsState::default() };
    let forbidden = |connection: &crate::nats::Connection, name: &str| {
        let to_wire = |subject: lattice::client::Forbidden| ForbiddenSubject {
            operation: subject.operation.as_str().to_owned(),
            subject: subject.subject,
            connection: name.to_owned(),
        };
        connection.forbidden.all().into_iter().map(to_wire).collect::<Vec<_>>()
    };
    NatsState {
        used: true,
        control: *nats.ctl.connected.borrow(),
        rpc: *nats.calls.connected.borrow(),
        forbidden: [forbidden(&nats.ctl, "control"), forbidden(&nats.calls, "rpc")].concat(),
        problem: nats.problem().map(|problem| NatsProblem { code: problem.code.to_owned(), message: problem.message }),
        store_refused: control.store.state().borrow().refusal().map(str::to_owned),
    }
}

fn actor_state(control: &Control, id: &ActorId) -> ActorState {
    let versions = control.actors.versions(id);
    let mut known: Vec<_> = versions.iter().map(|actor| actor.provenance.clone()).collect();
    if known.is_empty() {
        known.push(by_claims(control, id.public_key()));
    }
    let issuer = control.tables().claims.issuer(&id.public_key());
    let maxima = versions.iter().flat_map(|actor| actor.instances().into_values());
    let granted: BTreeSet<&String> = versions.iter().flat_map(|actor| &actor.shown.caps).collect();
    ActorState {
        running: !versions.is_empty(),
        in_use: versions.iter().map(|actor| actor.guest.running()).sum(),
        max_instances: maxima.fold(0, |sum: u32, instance| sum.saturating_add(instance.max_instances)),
        revoked: known
            .iter()
            .find_map(|artifact| control.tables().revocations().find(artifact))
            .map(|named| named.to_string()),
        issuer_trusted: issuer.map(|issuer| control.admission.issuers.trusts(&issuer)),
        contracts: (!versions.is_empty()).then(|| granted.into_iter().cloned().collect()),
    }
}

/// What does not run here is known by the claims of the lattice alone.
fn by_claims(control: &Control, subject: PublicKey) -> Provenance {
    let issuer = control.tables().claims.issuer(&subject).unwrap_or_else(|| own_issuer(&subject));
    Provenance { issuer, subject, digests: Vec::new() }
}

fn linked_provider(control: &Control, question: &AskWhy) -> Option<(Arc<RunningProvider>, Arc<Link>)> {
    let link_name = question.link_name.clone().unwrap_or_default();
    let link = control.tables().links.find(
        question.actor.as_ref()?,
        question.contract.as_ref()?.as_str(),
        link_name.as_str(),
    )?;
    Some((control.providers.get(&link.provider_id, &link.link_name)?, link))
}

async fn feels(control: &Control, provider: &RunningProvider, link: &Link) -> ProviderState {
    // One that is not called because it is not well runs all the same, and says why.
    let up = match &provider.home {
        Home::Embedded(_) => true,
        Home::Process(process) => process.down().is_none(),
    };
    let health = match up {
        true => tokio::time::timeout(HEALTH_WITHIN, health::ask(&control.providers, provider)).await.ok().flatten(),
        false => None,
    };
    ProviderState {
        id: provider.spec.id,
        contract: provider.spec.contract.clone(),
        embedded: matches!(provider.home, Home::Embedded(_)),
        up,
        healthy: health.as_ref().map(|health| health.healthy),
        message: match health {
            Some(health) => health.message.map(|message| mask::text(&message).into_owned()),
            None => provider.words(),
        },
        serves: Some(provider.has_taken(link)),
    }
}

/// Asks the policy as a call would: on the host where the target is, or where a provider is called from.
async fn permits(control: &Control, question: &AskWhy) -> Option<PolicyState> {
    let policy = control.calls.permission.policy()?;
    let link_name = question.link_name.clone().unwrap_or_default();
    let refused = match (&question.actor, &question.contract, &question.callee) {
        (Some(actor), Some(contract), _) => {
            let link = control.tables().links.find(actor, contract.as_str(), link_name.as_str());
            control.calls.permission.refuses_link(link.as_deref()?).await
        }
        (Some(actor), None, Some(callee)) => control.calls.permission.refuses_actor(actor, callee).await,
        _ => None,
    };
    let config = policy.config();
    Some(PolicyState {
        topic: config.topic.clone(),
        default: config.default.to_string(),
        code: refused.as_ref().map(|error| error.code().to_owned()),
        refused: refused.map(|error| error.to_string()),
    })
}
