//! The chain from claims to the last error, judged: the first link of it that is broken is the cause.
//!
//! Pure: facts go in, a verdict comes out. What has been looked at and holds is never given as a cause because of an
//! older failure. Invariant: at most one step is broken, and it is the last one that was looked at.

use claims::{ActorId, HostId};
use lattice::{
    ContractId, Link, LinkName,
    control::{FailureRecord, UNBOUNDED},
};

use super::{
    cause::{Cause, Code},
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
];

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It holds.
    Ok,
    /// It breaks here.
    Broken,
    /// Nobody knows.
    Unknown,
}

/// One step that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub name: &'static str,
    /// How it stands.
    pub state: State,
    /// What is the case.
    pub text: String,
}

/// The verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// What was asked, in words.
    pub question: String,
    /// What was looked at, up to where it breaks.
    pub steps: Vec<Step>,
    /// Where it breaks; none when nothing does.
    pub cause: Option<Cause>,
    /// What else should be known.
    pub remarks: Vec<String>,
}

/// What a step found: something to say, or where it breaks.
pub type Found = Result<(State, String), Cause>;

impl Diagnosis {
    /// A verdict on which nothing is known yet.
    pub fn of(question: impl Into<String>, facts: &Facts) -> Self {
        Self { question: question.into(), steps: Vec::new(), cause: None, remarks: facts.silent.clone() }
    }

    /// A verdict of a single, broken step.
    pub fn of_one(question: impl Into<String>, step: &'static str, cause: Cause) -> Self {
        let start = Self { question: question.into(), steps: Vec::new(), cause: None, remarks: Vec::new() };
        start.then(step, |_| Err(cause))
    }

    /// Looks at the next step, unless an earlier one broke.
    pub fn then(mut self, name: &'static str, look: impl FnOnce(&mut Vec<String>) -> Found) -> Self {
        if self.cause.is_some() {
            return self;
        }
        let (state, text) = match look(&mut self.remarks) {
            Ok(found) => found,
            Err(cause) => {
                let text = cause.sentence.clone();
                self.cause = Some(cause);
                (State::Broken, text)
            }
        };
        self.steps.push(Step { name, state, text });
        self
    }
}

fn ok(text: impl Into<String>) -> Found {
    Ok((State::Ok, text.into()))
}

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
        .then("room", |_| room(facts, actor))
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
        .then("room", |_| room(facts, callee))
        .then("last error", |remarks| last_error(facts, about, remarks))
}

/// Why an actor does not run or answer.
pub fn actor(facts: &Facts, actor: &ActorId) -> Diagnosis {
    Diagnosis::of(named(facts, actor), facts)
        .then("nats", |_| nats(facts))
        .then("claims", |_| not_revoked(facts, actor, false))
        .then("route", |_| runs(facts, actor, false))
        .then("room", |_| room(facts, actor))
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

/// A link that is asked about.
struct Wanted<'a> {
    actor: &'a ActorId,
    contract: &'a ContractId,
    link_name: &'a LinkName,
}

impl Wanted<'_> {
    fn is(&self, link: &Link) -> bool {
        link.actor_id == *self.actor && link.contract_id == *self.contract && link.link_name == *self.link_name
    }

    fn concerns(&self, failure: &FailureRecord, link: Option<&Link>) -> bool {
        let of_link = failure.contract.as_deref() == Some(self.contract.as_str())
            && failure.link_name.as_deref() == Some(self.link_name.as_str());
        let of_provider = link.is_some_and(|link| failure.peer.as_deref() == Some(link.provider_id.as_str()));
        // A call that came over the lattice does not say from whom; only a provider elsewhere calls like that.
        let from_elsewhere =
            failure.contract.is_none() && failure.peer.is_none() && failure.what.starts_with("call that");
        of_link || of_provider || from_elsewhere
    }

    /// There is such a link, and its provider serves the contract.
    fn look(&self, facts: &Facts, link: Option<&Link>) -> Found {
        let Some(link) = link else { return Err(self.missing(facts)) };
        let serves = facts.claim(&link.provider_id.public_key(), ["contract_id", "contract_id"]);
        if let Some(serves) = serves.filter(|serves| !serves.is_empty() && *serves != self.contract.as_str()) {
            let sentence = format!(
                "the link is for `{}`, and its provider `{}` serves `{serves}`",
                self.contract, link.provider_id
            );
            let next = format!("link another provider: `wash link put {} PROVIDER {}`", self.actor, self.contract);
            return Err(Cause::new(Code::WrongContract, sentence, next));
        }
        ok(format!("`{}` is linked to provider `{}`", self.contract, link.provider_id))
    }

    /// No such link: perhaps there is one that was meant.
    fn missing(&self, facts: &Facts) -> Cause {
        let (actor, contract, name) = (self.actor, self.contract, self.link_name);
        let of_actor: Vec<&Link> = facts.links.iter().filter(|link| link.actor_id == *actor).collect();
        if let Some(other) = of_actor.iter().find(|link| link.contract_id == *contract) {
            let sentence = format!(
                "`{actor}` has no link `{name}` for `{contract}`, but one that is called `{}`",
                other.link_name
            );
            let next = format!(
                "use link name `{}`, or put one more: `wash link put {actor} {} {contract} --link-name {name}`",
                other.link_name, other.provider_id
            );
            return Cause::new(Code::WrongLinkName, sentence, next);
        }
        let serves = |link: &&&Link| {
            facts.claim(&link.provider_id.public_key(), ["contract_id", "contract_id"]) == Some(contract.as_str())
        };
        if let Some(other) = of_actor.iter().find(serves) {
            let sentence = format!(
                "`{actor}` is linked to `{}`, which serves `{contract}`, but for the contract `{}`",
                other.provider_id, other.contract_id
            );
            let next = format!("put it for the right one: `wash link put {actor} {} {contract}`", other.provider_id);
            return Cause::new(Code::WrongContract, sentence, next);
        }
        let runs = facts.providers().find(|(_, provider)| provider.contract_id == *contract);
        let provider = runs.map_or("PROVIDER".to_owned(), |(_, provider)| provider.id.to_string());
        let sentence = format!("`{actor}` has no link `{name}` for `{contract}`");
        let name = if name.as_str() == "default" { String::new() } else { format!(" --link-name {name}") };
        Cause::new(Code::MissingLink, sentence, format!("link it: `wash link put {actor} {provider} {contract}{name}`"))
    }
}

/// What hosts may not do, of what every host must.
fn nats(facts: &Facts) -> Found {
    for reply in &facts.replies {
        let needed = |subject: &str| {
            ["wasmbus.ctl.", "wasmbus.rpc.", "$JS.", "$KV.", "$O.", "_INBOX"]
                .iter()
                .any(|root| subject.starts_with(root))
        };
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
    let used = facts.replies.iter().filter(|reply| reply.nats.used);
    let away: Vec<String> = used
        .clone()
        .filter(|reply| !reply.nats.control || !reply.nats.rpc)
        .map(|reply| format!("`{}`", facts.name(&reply.host_id)))
        .collect();
    match (used.count(), away.as_slice()) {
        (0, _) if facts.replies.is_empty() => Ok((State::Unknown, "no host says how it is connected".to_owned())),
        (0, _) => ok("not used"),
        (_, []) => ok("connected"),
        (_, away) => Ok((State::Unknown, format!("away on {}", away.join(", ")))),
    }
}

fn not_revoked(facts: &Facts, actor: &ActorId, callee: bool) -> Found {
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

fn claims_grant(facts: &Facts, actor: &ActorId, contract: &ContractId) -> Found {
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

fn policy(facts: &Facts) -> Found {
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
fn runs(facts: &Facts, actor: &ActorId, callee: bool) -> Found {
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
    let (host, failure) = facts.failures().into_iter().find(|(_, failure)| failure.what.starts_with("start of "))?;
    let code = Code::of_report(&failure.code, &failure.message);
    Some(Cause::usual(code, format!("host `{}` did not start it: {}", facts.name(host), failure.message)))
}

fn provider_runs(facts: &Facts, link: &Link) -> Found {
    let dead = facts
        .replies
        .iter()
        .find_map(|reply| Some((reply, reply.provider.as_ref()?)))
        .filter(|(_, state)| !state.up || (state.healthy.is_none() && !state.embedded));
    if let Some((reply, state)) = dead {
        let host = facts.name(&reply.host_id);
        let ended = reply.failures.iter().find(|failure| failure.code == "provider_dead");
        let how = ended.map(|failure| format!(" ({}, {} times)", failure.message, failure.times)).unwrap_or_default();
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
        None => Cause::usual(code, sentence),
    }
}

fn health(facts: &Facts) -> Found {
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
fn room(facts: &Facts, actor: &ActorId) -> Found {
    let running: Vec<_> = facts
        .states(false)
        .chain(facts.states(true))
        .filter(|(host, state)| state.running && facts.hosts_of(actor).contains(host))
        .collect();
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

fn last_error(facts: &Facts, about: impl Fn(&FailureRecord) -> bool, remarks: &mut Vec<String>) -> Found {
    let mut failures = facts.failures();
    failures.retain(|(_, failure)| about(failure) && !LOOKED_AT.contains(&failure.code.as_str()));
    let Some((host, failure)) = failures.first() else { return ok("no failure is remembered") };
    let ago = facts.now.saturating_sub(failure.at);
    let sentence = format!(
        "{} on host `{}` failed {ago} s ago{}: {}",
        failure.what,
        facts.name(host),
        if failure.times > 1 { format!(", {} times in all", failure.times) } else { String::new() },
        failure.message
    );
    if ago > RECENT_SECONDS {
        remarks.push(sentence);
        return ok("no recent failure");
    }
    let code = Code::of_report(&failure.code, &failure.message);
    let timeout = facts.replies.iter().find(|reply| reply.host_id == **host).and_then(|reply| reply.rpc_timeout_ms);
    let next = match (&code, timeout) {
        (Code::DeadlineTooShort, Some(ms)) => format!("{} (now {ms} ms on that host)", code.usual_step()),
        _ => code.usual_step().to_owned(),
    };
    Err(Cause::new(code, sentence, next))
}

fn named(facts: &Facts, actor: &ActorId) -> String {
    match facts.claim(&actor.public_key(), ["name", "name"]).filter(|name| !name.is_empty()) {
        Some(name) => format!("actor `{name}` ({actor})"),
        None => format!("actor `{actor}`"),
    }
}

fn hosts_listed(facts: &Facts, hosts: &[HostId]) -> String {
    hosts.iter().map(|host| format!("`{}`", facts.name(host))).collect::<Vec<_>>().join(", ")
}
