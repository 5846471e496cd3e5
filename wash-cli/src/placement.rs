//! Choosing the host for something new: the one that was named, or by labels and an auction.
//!
//! Hosts are asked first, so that an impossible wish fails at once and says why. Invariant: a host is only chosen when
//! its labels satisfy every constraint, whatever it bids.

use std::{collections::BTreeMap, time::Duration};

use claims::HostId;
use lattice::{
    LinkName,
    control::{AuctionActor, AuctionProvider, HostSummary},
};

use crate::{
    failure::{Failure, Result},
    lattice_view::Lattice,
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
        return Ok(Chosen { id, name: None, is_of_others: false });
    }
    let hosts = lattice.hosts().await?;
    if let Some(term) = named {
        let id = crate::resolve::resolve("host", term, &crate::resolve::host_candidates(&hosts))?;
        return Ok(chosen(id, &hosts));
    }
    let able: Vec<&HostSummary> = hosts.iter().filter(|host| satisfies(host, constraints)).collect();
    match able.as_slice() {
        [] => Err(no_host_has_labels(constraints, &hosts)),
        [only] => Ok(chosen(only.id, &hosts)),
        several => {
            let winner = auction(lattice, several, constraints, workload, auction_time).await?;
            Ok(chosen(winner, &hosts))
        }
    }
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

/// The first host that bids wins. Hosts of the 0.82 line bid without looking at constraints; their bids count only when
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
            "none of {} hosts offered to run `{}` within {} ms",
            able.len(),
            workload.reference(),
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
