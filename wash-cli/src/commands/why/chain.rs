//! The chain from claims to the last error, judged: the first link of it that is broken is the cause.
//!
//! Pure: facts go in, a verdict comes out. What has been looked at and holds is never given as a cause because of an
//! older failure.

use claims::ActorId;
use lattice::{ContractId, LinkName, control::FailureRecord};

use super::{
    cause::{Cause, Code},
    diagnosis::{Diagnosis, State},
    facts::Facts,
    link::Wanted,
    steps::{
        claims_grant, failed_start, health, last_error, named, nats, not_revoked, policy, provider_runs, room, runs,
    },
};

/// Why a link does not work.
pub fn over_link(facts: &Facts, actor: &ActorId, contract: &ContractId, link_name: &LinkName) -> Diagnosis {
    let wanted = Wanted { actor, contract, link_name };
    let link = facts.links.iter().find(|link| wanted.is(link));
    let about = |failure: &FailureRecord| wanted.concerns(failure, link);
    Diagnosis::of(format!("calls between {} and `{contract}` (link `{link_name}`)", named(facts, actor)), facts)
        .then("nats", |_| nats(facts))
        .then("claims", |_| claims_grant(facts, actor, contract))
        .then("link", |_| wanted.look(facts, link))
        .then("policy", |_| policy(facts))
        .then("route", |_| runs(facts, actor, false))
        .then("provider", |_| link.map_or(Ok((State::Unknown, String::new())), |link| provider_runs(facts, link)))
        .then("health", |_| health(facts))
        .then("room", |_| room(facts, actor, false))
        .then("last error", |remarks| last_error(facts, about, remarks))
}

/// Why one actor cannot call another.
pub fn actor_to_actor(facts: &Facts, caller: &ActorId, callee: &ActorId) -> Diagnosis {
    let alias = facts.claim(&callee.public_key(), ["call_alias", "call_alias"]).filter(|alias| !alias.is_empty());
    let about = |failure: &FailureRecord| {
        let peer = failure.peer.as_deref();
        peer == Some(callee.as_str()) || (peer.is_some() && peer == alias)
    };
    Diagnosis::of(format!("calls of {} to {}", named(facts, caller), named(facts, callee)), facts)
        .then("nats", |_| nats(facts))
        .then("claims", |_| not_revoked(facts, caller, false))
        .then("callee", |_| not_revoked(facts, callee, true))
        .then("policy", |_| policy(facts))
        .then("route", |_| runs(facts, caller, false).and_then(|_| runs(facts, callee, true)))
        .then("room", |_| room(facts, callee, true))
        .then("last error", |remarks| last_error(facts, about, remarks))
}

/// Why an actor does not run or answer.
pub fn actor(facts: &Facts, actor: &ActorId) -> Diagnosis {
    Diagnosis::of(named(facts, actor), facts)
        .then("nats", |_| nats(facts))
        .then("claims", |_| not_revoked(facts, actor, false))
        .then("route", |_| runs(facts, actor, false))
        .then("room", |_| room(facts, actor, false))
        .then("last error", |remarks| last_error(facts, |_| true, remarks))
}

/// Why nothing runs from a reference.
pub fn not_started(facts: &Facts, reference: &str) -> Diagnosis {
    Diagnosis::of(format!("`{reference}`"), facts).then("nats", |_| nats(facts)).then("route", |_| {
        Err(failed_start(facts).unwrap_or_else(|| {
            let sentence = format!("nothing runs from `{reference}` on any host, and no host remembers a start of it");
            Cause::new(Code::ActorNotRunning, sentence, format!("start it with `wash start actor {reference}`"))
        }))
    })
}
