//! Whether the hosts of a lattice agree: what each says about links, claims and configuration at its own control socket,
//! whom it knows, and what it says it runs, to its own machine and over NATS.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use claims::{HostId, PublicKey};
use lattice::{Link, client::ControlError, control::HostInventory};

use crate::{TestLattice, eventually_within};

/// Everything that must be the same on every host. Texts, so that a difference can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct View {
    links: BTreeSet<String>,
    claims: BTreeSet<String>,
    config: BTreeMap<String, String>,
}

/// How long the lattice took, and what all agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// Since it was asked.
    pub after: Duration,
    /// How many links there are.
    pub links: usize,
    /// How many claims.
    pub claims: usize,
}

impl TestLattice {
    /// Waits until these hosts agree on everything, and each knows all others; says how long that took.
    ///
    /// # Panics
    /// When they do not within `limit`; the message says who differs in what.
    pub async fn agree_within<const N: usize>(&self, names: [&str; N], limit: Duration) -> Agreed {
        let started = Instant::now();
        let view = eventually_within(limit, "hosts that agree", || self.common_view(&names)).await;
        Agreed { after: started.elapsed(), links: view.links.len(), claims: view.claims.len() }
    }

    async fn common_view(&self, names: &[&str]) -> Result<View, String> {
        let ids: BTreeSet<HostId> = names.iter().map(|name| self.id(name)).collect();
        let mut common: Option<(&str, View)> = None;
        for name in names {
            let failed = |error: ControlError| format!("`{name}`: {error}");
            let view = self.view(name).await.map_err(failed)?;
            match &common {
                Some((other, theirs)) if *theirs != view => return Err(differ(other, theirs, name, &view)),
                Some(_) => {}
                None => common = Some((name, view)),
            }
            self.knows_all_others(name, &ids).await?;
            self.says_the_same_over_nats(name).await.map_err(failed)??;
        }
        common.map(|(_, view)| view).ok_or_else(|| "no host".to_owned())
    }

    async fn view(&self, name: &str) -> Result<View, ControlError> {
        let control = self.operator_at(name).control;
        let links = control.links().await?.links;
        let claims = control.claims().await?;
        let linked = links.iter().map(|link| link.actor_id.to_string());
        let seen = claims.iter().map(|row| format!("{row:?}"));
        let claims: BTreeSet<String> = seen.collect();
        let mut config = BTreeMap::new();
        for entity in linked.collect::<BTreeSet<_>>() {
            let key: PublicKey = entity.parse().expect("an actor has a key");
            config.insert(entity, format!("{:?}", control.all_config(&key).await?));
        }
        Ok(View { links: links.iter().map(in_full).collect(), claims, config })
    }

    async fn knows_all_others(&self, name: &str, all: &BTreeSet<HostId>) -> Result<(), String> {
        let hosts = self.operator_at(name).hosts().await.map_err(|error| format!("`{name}`: {error}"))?;
        let own = hosts.first().ok_or_else(|| format!("`{name}` says nothing of itself"))?;
        let known: BTreeSet<HostId> = own.peers.iter().flatten().copied().chain([own.id]).collect();
        if known.is_superset(all) { Ok(()) } else { Err(format!("`{name}` knows {known:?} of {all:?}")) }
    }

    async fn says_the_same_over_nats(&self, name: &str) -> Result<Result<(), String>, ControlError> {
        let here = self.operator_at(name).control.inventory(&self.id(name)).await?;
        let there = self.operator().await.control.inventory(&self.id(name)).await?;
        let (here, there) = (lasting(here), lasting(there));
        Ok(if here == there { Ok(()) } else { Err(format!("`{name}` runs {here}, and over NATS {there}")) })
    }
}

/// A link with its values, which its `Debug` does not show.
fn in_full(link: &Link) -> String {
    serde_json::to_string(link).expect("a link is JSON")
}

/// What of an inventory does not change by itself.
fn lasting(inventory: HostInventory) -> String {
    format!("{:?} {:?} {:?}", inventory.labels, inventory.actors, inventory.providers)
}

fn differ(one: &str, its: &View, other: &str, theirs: &View) -> String {
    let links: Vec<_> = its.links.symmetric_difference(&theirs.links).collect();
    let claims: Vec<_> = its.claims.symmetric_difference(&theirs.claims).collect();
    format!(
        "`{one}` and `{other}` differ: links {links:?}, claims {claims:?}, config {:?} {:?}",
        its.config, theirs.config
    )
}
