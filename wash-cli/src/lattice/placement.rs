//! Choosing the host for something new: the one that was named, or by labels and an offer.
//!
//! Hosts are asked first, so that an impossible wish fails at once and says why. Each host of ours is asked whether it
//! takes it, and answers either way; those of others are asked by auction, where whoever declines is silent. Invariant: a
//! host is only chosen when its labels satisfy every constraint, whatever it bids.

use std::{collections::BTreeMap, time::Duration};

use claims::HostId;
use futures_util::stream::{FuturesUnordered, StreamExt};
use lattice::{
    LinkName,
    control::{AskOffer, AskWhy, AuctionActor, AuctionProvider, HostSummary, ProviderDescription},
};

use crate::{
    lattice::view::Lattice,
    terminal::failure::{Failure, Result},
};

/// What is to be placed.
#[derive(Debug, Clone)]
pub enum Workload {
    /// An actor.
    Actor {
        /// Its reference.
        reference: String,
    },
    /// A provider.
    Provider {
        /// Its reference.
        reference: String,
        /// The link name it will run under.
        link_name: LinkName,
    },
}

impl Workload {
    fn reference(&self) -> &str {
        match self {
            Self::Actor { reference } | Self::Provider { reference, .. } => reference,
        }
    }

    /// As a host of ours is asked whether it takes it.
    pub fn question(&self, constraints: &BTreeMap<String, String>) -> AskOffer {
        let (reference, constraints) = (self.reference().to_owned(), constraints.clone());
        let provider = match self {
            Self::Actor { .. } => None,
            Self::Provider { link_name, .. } => Some(link_name.clone()),
        };
        AskOffer { reference, provider, constraints }
    }
}

/// A chosen host.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// Its id.
    pub id: HostId,
    /// Its friendly name, if it was asked.
    pub name: Option<String>,
    /// Whether it is known to be a host of others, which do not report every outcome.
    pub is_of_others: bool,
}

impl Chosen {
    /// How it is shown.
    pub fn shown(&self) -> String {
        match &self.name {
            Some(name) if !name.is_empty() => format!("`{name}` ({})", self.id),
            _ => format!("`{}`", self.id),
        }
    }
}

/// Chooses a host.
///
/// # Errors
/// There is no host, none has the labels, or none bids.
pub async fn choose(
    lattice: &Lattice<'_>,
    named: Option<&str>,
    constraints: &BTreeMap<String, String>,
    workload: &Workload,
    auction_time: Duration,
) -> Result<Chosen> {
    if let Some(Ok(id)) = named.map(|term| term.trim().parse::<HostId>()) {
        return Ok(Chosen { id, name: None, is_of_others: lattice.is_of_others(&id).await });
    }
    let hosts = lattice.hosts().await?;
    if let Some(term) = named {
        let id = crate::lattice::resolve::resolve("host", term, &crate::lattice::resolve::host_candidates(&hosts))?;
        return Ok(chosen(id, &hosts));
    }
    let able: Vec<&HostSummary> = hosts.iter().filter(|host| satisfies(host, constraints)).collect();
    if able.is_empty() {
        return Err(no_host_has_labels(constraints, &hosts));
    }
    if let [only] = able.as_slice() {
        return Ok(chosen(only.id, &hosts));
    }
    if let Some(running) = running_on(lattice, &able, workload).await {
        return Ok(chosen(running, &hosts));
    }
    let winner = match offers(lattice, &able, constraints, workload).await {
        Offers::From(winner) => winner,
        Offers::None { declined, silent } if silent.is_empty() => return Err(nobody_takes(workload, &declined)),
        Offers::None { silent, .. } => auction(lattice, &silent, constraints, workload, auction_time).await?,
    };
    Ok(chosen(winner, &hosts))
}

/// The host that runs this provider already, under this link name: starting it a second time is not what was meant.
async fn running_on(lattice: &Lattice<'_>, able: &[&HostSummary], workload: &Workload) -> Option<HostId> {
    let Workload::Provider { reference, link_name } = workload else { return None };
    let same = |provider: &ProviderDescription| {
        provider.image_ref.as_deref() == Some(reference) && provider.link_name == *link_name
    };
    let inventories = lattice.inventories(able.iter().map(|host| host.id)).await;
    inventories.iter().find(|inventory| inventory.providers.iter().any(same)).map(|inventory| inventory.host_id)
}

/// What hosts say that were asked one by one.
enum Offers<'h> {
    /// This one takes it; the others need not be waited for.
    From(HostId),
    /// None takes it.
    None {
        /// Why not, by host.
        declined: Vec<(&'h HostSummary, String)>,
        /// Those that do not answer such questions.
        silent: Vec<&'h HostSummary>,
    },
}

async fn offers<'h>(
    lattice: &Lattice<'_>,
    able: &[&'h HostSummary],
    constraints: &BTreeMap<String, String>,
    workload: &Workload,
) -> Offers<'h> {
    let question = AskWhy { offer: Some(workload.question(constraints)), ..AskWhy::default() };
    let asked = able.iter().map(|host| {
        let question = &question;
        async move { (*host, lattice.control(&host.id).why(&host.id, question).await) }
    });
    let (mut declined, mut silent) = (Vec::new(), Vec::new());
    let mut answers: FuturesUnordered<_> = asked.collect();
    while let Some((host, answer)) = answers.next().await {
        match answer.ok().and_then(|reply| reply.offer) {
            Some(offer) if offer.accepts => return Offers::From(host.id),
            Some(offer) => declined.push((host, offer.reason.unwrap_or_else(|| "it gives no reason".to_owned()))),
            None => silent.push(host),
        }
    }
    declined.sort_by(|(a, _), (b, _)| a.friendly_name.cmp(&b.friendly_name));
    Offers::None { declined, silent }
}

fn nobody_takes(workload: &Workload, declined: &[(&HostSummary, String)]) -> Failure {
    let mut reasons: Vec<&str> = declined.iter().map(|(_, reason)| reason.as_str()).collect();
    reasons.dedup();
    let why = match reasons.as_slice() {
        [all] => format!("each of {} says: {all}", declined.len()),
        _ => {
            let each = declined.iter().map(|(host, reason)| format!("`{}`: {reason}", host.friendly_name));
            each.collect::<Vec<_>>().join("; ")
        }
    };
    Failure::new(format!("no host takes `{}`: {why}", workload.reference()))
        .hint("`wash why place` shows what stands in the way of each host")
}

fn chosen(id: HostId, hosts: &[HostSummary]) -> Chosen {
    let host = hosts.iter().find(|host| host.id == id);
    let name = host.map(|host| host.friendly_name.clone());
    // Hosts of ours name their peers.
    Chosen { id, name, is_of_others: host.is_some_and(|host| host.peers.is_none()) }
}

fn satisfies(host: &HostSummary, constraints: &BTreeMap<String, String>) -> bool {
    constraints.iter().all(|(key, value)| host.labels.get(key) == Some(value))
}

/// Of hosts that are not asked one by one, the first that bids wins. Hosts of the 0.82 line bid without looking at constraints; their bids count only when
/// their labels fit.
async fn auction(
    lattice: &Lattice<'_>,
    able: &[&HostSummary],
    constraints: &BTreeMap<String, String>,
    workload: &Workload,
    time: Duration,
) -> Result<HostId> {
    let control = lattice.reached.control.with_timeout(time);
    let may_win = |id: &HostId| able.iter().any(|host| host.id == *id);
    let constraints = constraints.clone();
    let winner = match workload {
        Workload::Actor { reference } => {
            let auction = AuctionActor { actor_ref: reference.clone(), constraints };
            match control.first_actor_bid(&auction).await? {
                Some(bid) if may_win(&bid.host_id) => Some(bid.host_id),
                None => None,
                Some(_) => {
                    control.auction_actor(&auction).await?.replies.iter().map(|bid| bid.host_id).find(|id| may_win(id))
                }
            }
        }
        Workload::Provider { reference, link_name } => {
            let auction =
                AuctionProvider { provider_ref: reference.clone(), link_name: link_name.clone(), constraints };
            match control.first_provider_bid(&auction).await? {
                Some(bid) if may_win(&bid.host_id) => Some(bid.host_id),
                None => None,
                Some(_) => control
                    .auction_provider(&auction)
                    .await?
                    .replies
                    .iter()
                    .map(|bid| bid.host_id)
                    .find(|id| may_win(id)),
            }
        }
    };
    winner.ok_or_else(|| {
        Failure::new(format!(
            "no host takes `{}`: none of {} that give no reasons offered to run it within {} ms",
            workload.reference(),
            able.len(),
            time.as_millis()
        ))
        .hint("a host does not offer what it runs already or cannot run; name one with `--host-id` to see its reason")
    })
}

fn no_host_has_labels(constraints: &BTreeMap<String, String>, hosts: &[HostSummary]) -> Failure {
    let wanted: Vec<String> = constraints.iter().map(|(key, value)| format!("`{key}={value}`")).collect();
    let have: Vec<String> = hosts
        .iter()
        .map(|host| {
            let labels: Vec<String> = host.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("`{}` ({}) has {}", host.friendly_name, host.id, labels.join(" "))
        })
        .collect();
    let plural = if wanted.len() == 1 { "" } else { "s" };
    Failure::new(format!("no host has the label{plural} {}: {}", wanted.join(" and "), have.join("; ")))
        .hint("set a label with `wash label HOST key=value`, or change `--constraint`")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use claims::{KeyKind, PublicKey};

    use super::*;

    fn host(byte: u8, name: &str, labels: &[(&str, &str)]) -> HostSummary {
        let id = HostId::try_from(PublicKey::from_raw(KeyKind::Server, [byte; 32])).unwrap();
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        HostSummary { friendly_name: name.to_owned(), labels, ..HostSummary::new(id) }
    }

    #[test]
    fn every_constraint_must_equal_the_label() {
        let host = host(1, "a", &[("zone", "edge"), ("gpu", "")]);
        let constraints = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        assert!(satisfies(&host, &constraints(&[])));
        assert!(satisfies(&host, &constraints(&[("zone", "edge"), ("gpu", "")])));
        assert!(!satisfies(&host, &constraints(&[("zone", "edge"), ("arch", "arm")])));
        assert!(!satisfies(&host, &constraints(&[("zone", "Edge")])));
    }

    #[test]
    fn a_wish_nobody_meets_lists_what_there_is() {
        let constraints = BTreeMap::from([("zone".to_owned(), "edge".to_owned())]);
        let failure = no_host_has_labels(&constraints, &[host(1, "quiet-sea", &[("zone", "core")])]);
        assert!(failure.message().starts_with("no host has the label `zone=edge`: `quiet-sea` (N"), "{failure}");
        assert!(failure.message().ends_with("has zone=core"), "{failure}");
    }
}
