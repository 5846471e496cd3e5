//! The steps of the chain, each judged by itself: it holds, nobody knows, or it is the cause.
//!
//! Pure. What has been looked at and holds is never given as a cause because of an older failure.

use claims::{ActorId, HostId};
use lattice::{
    ContractId, LatticeId, Link,
    control::{FailureKind, FailureRecord, UNBOUNDED},
    subject::{Role, events},
};

use super::{
    cause::{Cause, Code},
    diagnosis::{Found, State},
    facts::Facts,
};

/// Failures that are older say nothing about now.
const RECENT_SECONDS: u64 = 600;
/// What is looked at anew by other steps, so that an old failure of this kind is no news.
const LOOKED_AT: &[&str] = &[
    "not_granted",
    "not_linked",
    "not_running",
    "unknown_actor",
    "policy_denied",
    "policy_unanswered",
    "provider_dead",
    "untrusted_issuer",
    "revoked",
    "unreachable",
];
/// What a call ends with whose provider went away while it ran.
const OF_A_RESTART: &[&str] = &["deadline_exceeded", "cancelled"];

/// It holds.
pub fn ok(text: impl Into<String>) -> Found {
    Ok((State::Ok, text.into()))
}

/// What hosts may not do, of what every host must.
pub fn nats(facts: &Facts) -> Found {
    for reply in &facts.replies {
        let needed = |subject: &str| is_needed(facts, &reply.host_id, subject);
        if let Some(forbidden) = reply.nats.forbidden.iter().find(|forbidden| needed(&forbidden.subject)) {
            let sentence = format!(
                "the NATS user of host `{}` may not {} `{}` ({} connection)",
                facts.name(&reply.host_id),
                forbidden.operation,
                forbidden.subject,
                forbidden.connection
            );
            return Err(Cause::usual(Code::NatsPermissionMissing, sentence));
        }
    }
    for reply in &facts.replies {
        let host = facts.name(&reply.host_id);
        if let Some(problem) = &reply.nats.problem
            && let Some(code) = refusal(&problem.code)
        {
            return Err(Cause::usual(code, format!("host `{host}` has no connection to NATS: {}", problem.message)));
        }
    }
    let used = facts.replies.iter().filter(|reply| reply.nats.used);
    let away: Vec<String> = used
        .clone()
        .filter(|reply| !reply.nats.control || !reply.nats.rpc)
        .map(|reply| format!("`{}`", facts.name(&reply.host_id)))
        .collect();
    match (used.count(), away.as_slice()) {
        (0, _) if facts.replies.is_empty() => Ok((State::Unknown, "no host says how it is connected".to_owned())),
        (0, _) => ok("not used"),
        (_, []) => match store_refused(facts) {
            Some(sentence) => Ok((State::Unknown, format!("connected, but {sentence}"))),
            None => ok("connected"),
        },
        (_, away) => Ok((State::Unknown, format!("away on {}", away.join(", ")))),
    }
}

/// A server that answers and says no, by the host's word for it.
fn refusal(code: &str) -> Option<Code> {
    match code {
        "nats_denied" => Some(Code::NatsDenied),
        "nats_tls" => Some(Code::NatsTls),
        _ => None,
    }
}

/// Where hosts may not keep the state of the lattice together, each knows its own. No call fails by that alone.
fn store_refused(facts: &Facts) -> Option<String> {
    let (reply, reason) = facts.replies.iter().find_map(|reply| Some((reply, reply.nats.store_refused.as_ref()?)))?;
    Some(format!(
        "JetStream does not let host `{}` have the buckets of the lattice: {reason}",
        facts.name(&reply.host_id)
    ))
}

/// Whether a host needs a subject for calls, commands or state; events are told, and nothing depends on them.
fn is_needed(facts: &Facts, host: &HostId, subject: &str) -> bool {
    let lattice = facts.hosts.iter().find(|known| known.id == *host).and_then(|known| known.lattice.parse().ok());
    let lattice: LatticeId = lattice.unwrap_or_default();
    let permissions = Role::Host(*host).permissions(&lattice);
    let of_events = events(&lattice);
    let needed = permissions.publish.iter().chain(&permissions.subscribe);
    needed.filter(|pattern| !pattern.starts_with(&of_events)).any(|pattern| match pattern.strip_suffix('>') {
        Some(beginning) => subject.starts_with(beginning),
        None => pattern == subject,
    })
}

/// No list names the actor.
pub fn not_revoked(facts: &Facts, actor: &ActorId, callee: bool) -> Found {
    let revoked = facts.states(callee).find_map(|(_, state)| state.revoked.clone());
    if let Some(named) = revoked {
        return Err(Cause::usual(Code::Revoked, format!("`{actor}` is revoked: {named}")));
    }
    match facts.contracts(actor) {
        Some(contracts) if !callee => ok(format!("may use {}", listed(&contracts))),
        Some(_) => ok("known and not revoked"),
        None => Ok((State::Unknown, format!("nobody in the lattice has seen the claims of `{actor}`"))),
    }
}

/// Its claims name the contract.
pub fn claims_grant(facts: &Facts, actor: &ActorId, contract: &ContractId) -> Found {
    let found = not_revoked(facts, actor, false)?;
    let Some(contracts) = facts.contracts(actor) else { return Ok(found) };
    if contracts.iter().any(|granted| granted == contract.as_str()) {
        return Ok(found);
    }
    let sentence =
        format!("the signed claims of `{actor}` do not grant `{contract}`; they name {}", listed(&contracts));
    let next = format!("sign it again with `--cap {contract}`, then `wash update actor {actor} REFERENCE`");
    Err(Cause::new(Code::MissingClaim, sentence, next))
}

fn listed(contracts: &[String]) -> String {
    if contracts.is_empty() {
        return "nothing".to_owned();
    }
    contracts.iter().map(|contract| format!("`{contract}`")).collect::<Vec<_>>().join(", ")
}

/// The policy service permits it, where it is asked.
pub fn policy(facts: &Facts) -> Found {
    let asked: Vec<_> = facts.replies.iter().filter_map(|reply| Some((reply, reply.policy.as_ref()?))).collect();
    for (reply, state) in &asked {
        let Some(refused) = &state.refused else { continue };
        let forbidden = reply.nats.forbidden.iter().find(|forbidden| forbidden.subject == state.topic);
        if let Some(forbidden) = forbidden {
            let host = facts.name(&reply.host_id);
            let sentence = format!("the NATS user of host `{host}` may not {} `{}`", forbidden.operation, state.topic);
            return Err(Cause::usual(Code::NatsPermissionMissing, sentence));
        }
        let code = Code::of_report(state.code.as_deref().unwrap_or("policy_denied"), refused);
        return Err(Cause::usual(code, format!("on host `{}`: {refused}", facts.name(&reply.host_id))));
    }
    match asked.first() {
        Some((_, state)) => ok(format!("permitted; the service is asked on `{}`", state.topic)),
        None => ok("no policy service is asked"),
    }
}

/// The actor runs somewhere; else why it was not started.
pub fn runs(facts: &Facts, actor: &ActorId, callee: bool) -> Found {
    let hosts = facts.hosts_of(actor);
    if !hosts.is_empty() {
        return ok(format!("{} runs on {}", named(facts, actor), hosts_listed(facts, &hosts)));
    }
    if let Some(cause) = failed_start(facts).filter(|_| !callee) {
        return Err(cause);
    }
    let mut states = facts.states(callee).peekable();
    if states.peek().is_some() && states.all(|(_, state)| state.issuer_trusted == Some(false)) {
        let sentence = format!("{} runs nowhere, and no host trusts its issuer", named(facts, actor));
        return Err(Cause::usual(Code::UntrustedIssuer, sentence));
    }
    let sentence = format!("{} does not run on any host", named(facts, actor));
    Err(not_seen(facts, Code::ActorNotRunning, sentence))
}

/// The last start that failed, of what was asked about.
pub fn failed_start(facts: &Facts) -> Option<Cause> {
    let is_open = |failure: &FailureRecord| failure.kind == Some(FailureKind::Start) && failure.over_at.is_none();
    let (host, failure) = facts.failures().into_iter().find(|(_, failure)| is_open(failure))?;
    let code = Code::of_report(&failure.code, &failure.message);
    Some(Cause::usual(code, format!("host `{}` did not start it: {}", facts.name(host), failure.message)))
}

/// The provider of the link runs, under the name of the link.
pub fn provider_runs(facts: &Facts, link: &Link) -> Found {
    let dead = facts
        .replies
        .iter()
        .find_map(|reply| Some((reply, reply.provider.as_ref()?)))
        .filter(|(_, state)| !state.up || (state.healthy.is_none() && !state.embedded));
    if let Some((reply, state)) = dead {
        let host = facts.name(&reply.host_id);
        let ended = reply.failures.iter().find(|failure| failure.code == "provider_dead");
        let how = ended.map(|failure| format!(" ({}, {} times)", failure.message, failure.times));
        let how =
            how.or_else(|| state.message.as_ref().map(|words| format!(" (it said: {words})"))).unwrap_or_default();
        let does = if state.up { "does not answer" } else { "does not run" };
        let sentence = format!("the process of provider `{}` on host `{host}` {does}{how}", state.id);
        let next = format!("read the log of host `{host}`: it holds what the process said, and restarts it meanwhile");
        return Err(Cause::new(Code::ProviderDead, sentence, next));
    }
    let of_link: Vec<_> = facts.providers().filter(|(_, provider)| provider.id == link.provider_id).collect();
    let hosts: Vec<HostId> =
        of_link.iter().filter(|(_, provider)| provider.link_name == link.link_name).map(|(host, _)| **host).collect();
    if !hosts.is_empty() {
        return ok(format!("provider `{}` runs on {}", link.provider_id, hosts_listed(facts, &hosts)));
    }
    if let Some((host, other)) = of_link.first() {
        let sentence = format!(
            "provider `{}` runs on host `{}` under link name `{}`, and the link is called `{}`",
            link.provider_id,
            facts.name(host),
            other.link_name,
            link.link_name
        );
        let next =
            format!("start it under the name of the link: `wash start provider … --link-name {}`", link.link_name);
        return Err(Cause::new(Code::WrongLinkName, sentence, next));
    }
    let sentence = format!("provider `{}` of the link does not run on any host", link.provider_id);
    Err(not_seen(facts, Code::ProviderNotRunning, sentence))
}

/// What runs nowhere may run where NATS does not reach.
fn not_seen(facts: &Facts, code: Code, sentence: String) -> Cause {
    let away = facts.replies.iter().find(|reply| reply.nats.used && !(reply.nats.control && reply.nats.rpc));
    match away {
        Some(reply) => {
            let host = facts.name(&reply.host_id);
            Cause::usual(
                Code::NatsAway,
                format!("{sentence} that can be asked: host `{host}` is not connected to NATS"),
            )
        }
        None => match store_refused(facts) {
            Some(why) => Cause::usual(Code::StoreRefused, format!("{sentence}, as far as is known: {why}")),
            None => Cause::usual(code, sentence),
        },
    }
}

/// It answers and is well.
pub fn health(facts: &Facts) -> Found {
    let mut asked = facts.replies.iter().filter_map(|reply| Some((reply, reply.provider.as_ref()?))).peekable();
    if asked.peek().is_none() {
        return Ok((State::Unknown, "its host does not say how it feels".to_owned()));
    }
    for (reply, state) in asked {
        if state.healthy == Some(false) {
            let words = state.message.as_deref().unwrap_or("it gives no reason");
            let sentence =
                format!("provider `{}` on host `{}` is unhealthy: {words}", state.id, facts.name(&reply.host_id));
            return Err(Cause::usual(Code::ProviderUnhealthy, sentence));
        }
    }
    ok("healthy")
}

/// Not every host on which it runs is full.
pub fn room(facts: &Facts, actor: &ActorId, callee: bool) -> Found {
    let running: Vec<_> =
        facts.states(callee).filter(|(host, state)| state.running && facts.hosts_of(actor).contains(host)).collect();
    let full = |(_, state): &(&HostId, &lattice::control::ActorState)| {
        state.max_instances < UNBOUNDED && state.in_use >= state.max_instances
    };
    let shown: Vec<String> = running
        .iter()
        .map(|(host, state)| match state.max_instances {
            UNBOUNDED => format!("{} calls on `{}`", state.in_use, facts.name(host)),
            max => format!("{} of {max} instances in use on `{}`", state.in_use, facts.name(host)),
        })
        .collect();
    if !running.is_empty() && running.iter().all(full) {
        let sentence = format!("every instance of {} is taken: {}", named(facts, actor), shown.join(", "));
        let next = format!("give it more instances: `wash scale actor HOST {actor} --max-instances N`");
        return Err(Cause::new(Code::ActorFull, sentence, next));
    }
    ok(if shown.is_empty() { "unknown".to_owned() } else { shown.join(", ") })
}

/// Nothing fails that no other step looks at. What is over is told as history.
pub fn last_error(facts: &Facts, about: impl Fn(&FailureRecord) -> bool, remarks: &mut Vec<String>) -> Found {
    let mut failures = facts.failures();
    failures.retain(|(_, failure)| about(failure) && !LOOKED_AT.contains(&failure.code.as_str()));
    let ago = |at: u64| facts.now.saturating_sub(at);
    let is_now =
        |(_, failure): &&(&HostId, &FailureRecord)| ago(failure.at) <= RECENT_SECONDS && over(facts, failure).is_none();
    let Some((host, failure)) = failures.iter().find(is_now) else {
        let Some((host, failure)) = failures.first() else { return ok("no failure is remembered") };
        let since = over(facts, failure).map(|since| format!("; {since}")).unwrap_or_default();
        remarks.push(format!("{}{since}", told(facts, host, failure)));
        return ok("no failure that is not over");
    };
    let code = Code::of_report(&failure.code, &failure.message);
    let timeout = facts.replies.iter().find(|reply| reply.host_id == **host).and_then(|reply| reply.rpc_timeout_ms);
    let next = match (&code, timeout) {
        (Code::DeadlineTooShort, Some(ms)) => format!("{} (now {ms} ms on that host)", code.usual_step()),
        _ => code.usual_step().to_owned(),
    };
    Err(Cause::new(code, told(facts, host, failure), next))
}

/// A failure in a sentence.
fn told(facts: &Facts, host: &HostId, failure: &FailureRecord) -> String {
    format!(
        "{}{} on host `{}` failed {} s ago{}: {}",
        failure.what,
        failure.operation.as_ref().map(|operation| format!(" (`{operation}`)")).unwrap_or_default(),
        facts.name(host),
        facts.now.saturating_sub(failure.at),
        if failure.times > 1 { format!(", {} times in all", failure.times) } else { String::new() },
        failure.message
    )
}

/// Why a failure is not one any more: what its host knows, and what the other hosts say.
fn over(facts: &Facts, failure: &FailureRecord) -> Option<String> {
    if let Some(at) = failure.over_at {
        let ago = facts.now.saturating_sub(at);
        return Some(match failure.kind {
            Some(FailureKind::Outgoing | FailureKind::Arrival | FailureKind::Provider) => {
                format!("the same worked later, or ended, {ago} s ago")
            }
            Some(FailureKind::Start) | None => format!("that is over since {ago} s"),
        });
    }
    // Whoever asks for the last error has seen before that the actor runs.
    if failure.kind == Some(FailureKind::Start) {
        return Some("it runs all the same".to_owned());
    }
    let serves = facts
        .replies
        .iter()
        .find(|reply| reply.provider.as_ref().is_some_and(|provider| provider.serves == Some(true)));
    if let ("link_refused", Some(reply)) = (failure.code.as_str(), serves) {
        return Some(format!("host `{}` serves the link", facts.name(&reply.host_id)));
    }
    let mut records = facts.replies.iter().flat_map(|reply| &reply.failures);
    let restarted =
        records.any(|other| other.code == "provider_dead" && other.over_at.is_some_and(|well| well >= failure.at));
    (restarted && OF_A_RESTART.contains(&failure.code.as_str())).then(|| "its provider was restarted since".to_owned())
}

/// An actor as people call it.
pub fn named(facts: &Facts, actor: &ActorId) -> String {
    match facts.claim(&actor.public_key(), ["name", "name"]).filter(|name| !name.is_empty()) {
        Some(name) => format!("actor `{name}` ({actor})"),
        None => format!("actor `{actor}`"),
    }
}

fn hosts_listed(facts: &Facts, hosts: &[HostId]) -> String {
    hosts.iter().map(|host| format!("`{}`", facts.name(host))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use claims::{KeyKind, PublicKey};
    use lattice::control::WhyReply;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn failed(code: &str, message: &str, at: u64) -> Facts {
        let host = HostId::try_from(PublicKey::from_raw(KeyKind::Server, [1; 32])).expect("a host");
        let failure = FailureRecord {
            what: "a call".to_owned(),
            code: code.to_owned(),
            message: message.to_owned(),
            at,
            contract: None,
            link_name: None,
            peer: None,
            times: 2,
            kind: None,
            operation: None,
            over_at: None,
        };
        Facts {
            replies: vec![WhyReply { failures: vec![failure], ..WhyReply::new(host) }],
            now: NOW,
            ..Facts::default()
        }
    }

    fn cause(facts: &Facts) -> Option<String> {
        last_error(facts, |_| true, &mut Vec::new()).err().map(|cause| cause.code.as_str().to_owned())
    }

    #[test]
    fn a_recent_failure_is_a_cause_by_its_meaning() {
        for (code, message, expected) in [
            ("busy", "", "actor_full"),
            ("deadline_exceeded", "", "deadline_too_short"),
            ("limit_exceeded", "argument of 5 bytes, `payload_bytes` of 2", "payload_too_large"),
            ("limit_exceeded", "`memory_bytes` of 2", "limit_exceeded"),
            ("unauthorized", "issuer of this invocation is not among the list of valid issuers", "untrusted_issuer"),
            ("unauthorized", "actor `M` is revoked", "revoked"),
            ("nats_forbidden", "", "nats_permission_missing"),
            ("trap", "unreachable", "trap"),
        ] {
            assert_eq!(cause(&failed(code, message, NOW - 1)).as_deref(), Some(expected), "{code} {message}");
        }
    }

    #[test]
    fn what_another_step_looked_at_and_what_is_long_past_is_no_cause() {
        assert_eq!(cause(&failed("not_linked", "", NOW)), None, "the link is there now");
        let old = failed("deadline_exceeded", "", NOW - RECENT_SECONDS - 1);
        let mut remarks = Vec::new();
        assert!(last_error(&old, |_| true, &mut remarks).is_ok());
        assert!(remarks[0].contains("601 s ago"), "{remarks:?}");
    }
}
