//! What the lattice says about a question: asked of every host, put side by side.
//!
//! Judges nothing. Invariant: a host that does not answer is named, never left out in silence.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use claims::{ActorId, HostId, PublicKey};
use futures_util::future::join_all;
use lattice::{
    Link,
    client::ControlError,
    control::{
        ActorState, AskWhy, ClaimsRow, FailureRecord, HostInventory, HostSummary, ProviderDescription, WhyReply,
    },
};

use crate::{lattice::view::Lattice, terminal::failure::Result};

/// Hosts ask providers and the policy service before they answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the lattice says.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The hosts.
    pub hosts: Vec<HostSummary>,
    /// What they run.
    pub inventories: Vec<HostInventory>,
    /// Claims of the lattice.
    pub claims: Vec<ClaimsRow>,
    /// Its links.
    pub links: Vec<Link>,
    /// What the hosts know.
    pub replies: Vec<WhyReply>,
    /// Hosts that do not answer, with the reason.
    pub silent: Vec<String>,
    /// Seconds since 1970.
    pub now: u64,
}

impl Facts {
    /// Asks every host.
    ///
    /// # Errors
    /// There is no host, or NATS does not let us ask.
    pub async fn gather(lattice: &Lattice<'_>, question: &AskWhy) -> Result<Self> {
        let hosts = lattice.hosts().await?;
        let ids: Vec<HostId> = hosts.iter().map(|host| host.id).collect();
        let asked = hosts.iter().map(|host| async move {
            let control = lattice.control(&host.id).with_timeout(lattice.connection.patience(PATIENCE));
            (host, control.why(&host.id, question).await)
        });
        let (inventories, answers, claims, links) = tokio::join!(
            lattice.inventories(ids),
            join_all(asked),
            lattice.reached.control.claims(),
            lattice.reached.control.links(),
        );
        let mut facts = Self { inventories, now: now(), ..Self::default() };
        for (host, answer) in answers {
            match answer {
                Ok(reply) => facts.replies.push(reply),
                Err(error) => facts.silent.push(silence(host, &error)),
            }
        }
        facts.claims = claims?;
        facts.links = links?.links;
        facts.hosts = hosts;
        Ok(facts)
    }

    /// A host as people call it.
    pub fn name(&self, host: &HostId) -> String {
        match self.hosts.iter().find(|known| known.id == *host) {
            Some(known) if !known.friendly_name.is_empty() => known.friendly_name.clone(),
            _ => host.to_string(),
        }
    }

    /// A member of the claims of an actor or provider.
    pub fn claim(&self, key: &PublicKey, members: [&str; 2]) -> Option<&str> {
        let of = |row: &&ClaimsRow| [row.get("sub"), row.get("subject")].contains(&Some(&key.to_string()));
        let row = self.claims.iter().find(of)?;
        members.iter().find_map(|member| row.get(*member)).map(String::as_str)
    }

    /// Contracts in the claims of an actor; none when nobody has seen it.
    pub fn contracts(&self, actor: &ActorId) -> Option<Vec<String>> {
        let running = self.replies.iter().find_map(|reply| reply.actor.as_ref()?.contracts.clone());
        running.or_else(|| {
            let listed = self.claim(&actor.public_key(), ["caps", "capabilities"])?;
            Some(listed.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect())
        })
    }

    /// Hosts on which an actor runs.
    pub fn hosts_of(&self, actor: &ActorId) -> Vec<HostId> {
        let runs = |inventory: &&HostInventory| inventory.actors.iter().any(|running| running.id == *actor);
        self.inventories.iter().filter(runs).map(|inventory| inventory.host_id).collect()
    }

    /// The actor that runs from a reference.
    pub fn running_from(&self, reference: &str) -> Option<ActorId> {
        let actors = self.inventories.iter().flat_map(|inventory| &inventory.actors);
        let from = |text: &Option<String>| text.as_deref() == Some(reference);
        let mut found =
            actors.filter(|actor| from(&actor.image_ref) || actor.instances.iter().any(|one| from(&one.image_ref)));
        found.next().map(|actor| actor.id)
    }

    /// Providers that run somewhere.
    pub fn providers(&self) -> impl Iterator<Item = (&HostId, &ProviderDescription)> {
        self.inventories
            .iter()
            .flat_map(|inventory| inventory.providers.iter().map(|provider| (&inventory.host_id, provider)))
    }

    /// What the hosts say of the actor asked about, or of the one it calls.
    pub fn states(&self, callee: bool) -> impl Iterator<Item = (&HostId, &ActorState)> {
        self.replies.iter().filter_map(move |reply| {
            let state = if callee { &reply.callee } else { &reply.actor };
            Some((&reply.host_id, state.as_ref()?))
        })
    }

    /// What failed lately, on any host, newest first.
    pub fn failures(&self) -> Vec<(&HostId, &FailureRecord)> {
        let mut all: Vec<_> = self
            .replies
            .iter()
            .flat_map(|reply| reply.failures.iter().map(|failure| (&reply.host_id, failure)))
            .collect();
        all.sort_by_key(|(_, failure)| std::cmp::Reverse(failure.at));
        all
    }

    /// Labels of every host, for sentences.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let shown = |host: &HostSummary| {
            let pairs: Vec<String> = host.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            (self.name(&host.id), pairs.join(" "))
        };
        self.hosts.iter().map(shown).collect()
    }
}

fn silence(host: &HostSummary, error: &ControlError) -> String {
    let name = if host.friendly_name.is_empty() { host.id.to_string() } else { host.friendly_name.clone() };
    match error {
        ControlError::HostAbsent { .. } | ControlError::NoHost { .. } => {
            format!("host `{name}` ({}) does not answer such questions", host.version)
        }
        error => format!("host `{name}` does not say why: {error}"),
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
