//! The link that a call goes over: whether it is there, and which one was meant if not.

use claims::ActorId;
use lattice::{
    ContractId, Link, LinkName,
    control::{FailureKind, FailureRecord},
};

use super::{
    cause::{Cause, Code},
    diagnosis::Found,
    facts::Facts,
    steps::ok,
};

/// A link that is asked about.
pub struct Wanted<'a> {
    /// The actor.
    pub actor: &'a ActorId,
    /// The contract.
    pub contract: &'a ContractId,
    /// The link name.
    pub link_name: &'a LinkName,
}

impl Wanted<'_> {
    /// Whether it is this one.
    pub fn is(&self, link: &Link) -> bool {
        link.actor_id == *self.actor && link.contract_id == *self.contract && link.link_name == *self.link_name
    }

    /// Whether a failure is about it.
    pub fn concerns(&self, failure: &FailureRecord, link: Option<&Link>) -> bool {
        let of_link = failure.contract.as_deref() == Some(self.contract.as_str())
            && failure.link_name.as_deref() == Some(self.link_name.as_str());
        let of_provider = link.is_some_and(|link| failure.peer.as_deref() == Some(link.provider_id.as_str()));
        // A call that came over the lattice says no more of the provider that made it.
        let from_elsewhere =
            failure.kind == Some(FailureKind::Arrival) && failure.contract.as_deref() == Some(self.contract.as_str());
        of_link || of_provider || from_elsewhere
    }

    /// There is such a link, and its provider serves the contract.
    pub fn look(&self, facts: &Facts, link: Option<&Link>) -> Found {
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
