//! The roll call: who must still answer before a question to everybody is answered.
//!
//! Pure. Invariant: the roll is complete only once at least one host has said whom it knows, and all of those, and
//! everybody they know in turn, have answered. Hosts that do not say (0.82) never make it complete.

use std::collections::BTreeSet;

use claims::HostId;
use serde::de::DeserializeOwned;

use crate::control::{ActorBid, HostSummary, ProviderBid};

/// An answer that says who gives it and whom it knows.
pub(super) trait RollReply: DeserializeOwned {
    fn host(&self) -> HostId;
    fn peers(&self) -> Option<&[HostId]>;
}

impl RollReply for HostSummary {
    fn host(&self) -> HostId {
        self.id
    }

    fn peers(&self) -> Option<&[HostId]> {
        self.peers.as_deref()
    }
}

impl RollReply for ActorBid {
    fn host(&self) -> HostId {
        self.host_id
    }

    fn peers(&self) -> Option<&[HostId]> {
        self.peers.as_deref()
    }
}

impl RollReply for ProviderBid {
    fn host(&self) -> HostId {
        self.host_id
    }

    fn peers(&self) -> Option<&[HostId]> {
        self.peers.as_deref()
    }
}

#[derive(Debug, Default)]
pub(super) struct Roll {
    answered: BTreeSet<HostId>,
    missing: BTreeSet<HostId>,
    named: bool,
}

impl Roll {
    /// Notes an answer; `false` when this host has answered before.
    pub(super) fn note(&mut self, host: HostId, peers: Option<&[HostId]>) -> bool {
        if !self.answered.insert(host) {
            return false;
        }
        self.missing.remove(&host);
        if let Some(peers) = peers {
            self.named = true;
            self.missing.extend(peers.iter().filter(|peer| !self.answered.contains(peer)));
        }
        true
    }

    /// Whether nobody is left to wait for.
    pub(super) fn is_complete(&self) -> bool {
        self.named && self.missing.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use claims::{KeyKind, PublicKey};

    use super::*;

    fn host(n: u8) -> HostId {
        HostId::try_from(PublicKey::from_raw(KeyKind::Server, [n; 32])).expect("a host key")
    }

    #[test]
    fn a_host_that_knows_nobody_completes_the_roll_by_itself() {
        let mut roll = Roll::default();
        assert!(!roll.is_complete());
        assert!(roll.note(host(1), Some(&[])));
        assert!(roll.is_complete());
    }

    #[test]
    fn peers_of_peers_are_waited_for() {
        let mut roll = Roll::default();
        roll.note(host(1), Some(&[host(2)]));
        assert!(!roll.is_complete());
        roll.note(host(2), Some(&[host(1), host(3)]));
        assert!(!roll.is_complete());
        roll.note(host(3), None);
        assert!(roll.is_complete());
    }

    #[test]
    fn hosts_that_name_nobody_never_complete_it() {
        let mut roll = Roll::default();
        roll.note(host(1), None);
        roll.note(host(2), None);
        assert!(!roll.is_complete());
    }

    #[test]
    fn a_second_answer_of_a_host_counts_for_nothing() {
        let mut roll = Roll::default();
        assert!(roll.note(host(1), Some(&[host(2)])));
        assert!(!roll.note(host(1), Some(&[])));
        assert!(!roll.is_complete());
    }
}
