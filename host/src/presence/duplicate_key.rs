//! Two hosts with one key, which a copied state directory or image of a device brings about.
//!
//! Commands to such a key reach both, and each undoes what the other says about itself. Who comes second is refused while
//! nothing of it is in the lattice yet. That needs the broker; where it was away, those who find out later say so, and go
//! on: which of them is the wrong one, only a person knows.

use std::time::Duration;

use bytes::Bytes;
use claims::HostId;
use lattice::{
    LatticeId,
    subject::{ControlRoot, ControlSubject},
};
use tokio::time::timeout;

use crate::nats::Broker;

/// Longest wait for the broker. A host must start without it.
const CONNECT_WITHIN: Duration = Duration::from_millis(300);
/// Longest wait for an answer; that nobody is there is said at once.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// Another host has our key.
#[derive(Debug, thiserror::Error)]
#[error(
    "a host with the key `{host}` is in lattice `{lattice}` already; stop it, or give this one a key of its own with \
     another `--state-dir` (a copied one holds the key of the original) or `--host-seed`"
)]
pub struct KeyInUse {
    /// The key.
    pub host: HostId,
    /// The lattice.
    pub lattice: LatticeId,
}

/// Asks for a host with our key. Must be asked before this one answers.
///
/// # Errors
/// [`KeyInUse`] when one answers.
pub async fn refuse(broker: &Broker, root: &ControlRoot, lattice: &LatticeId, own: HostId) -> Result<(), KeyInUse> {
    let mut connected = broker.ctl.connected.clone();
    if !matches!(timeout(CONNECT_WITHIN, connected.wait_for(|connected| *connected)).await, Ok(Ok(_))) {
        return Ok(());
    }
    let subject = ControlSubject::GetInventory(own).render(root);
    match timeout(ANSWER_WITHIN, broker.ctl.client.request(subject, Bytes::new())).await {
        Ok(Ok(answer)) if is_inventory_of(own, &answer.payload) => {
            Err(KeyInUse { host: own, lattice: lattice.clone() })
        }
        _ => Ok(()),
    }
}

/// Others may answer as well: a stream that keeps what is sent to hosts confirms every request.
fn is_inventory_of(own: HostId, answer: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Inventory {
        host_id: HostId,
    }
    serde_json::from_slice::<Inventory>(answer).is_ok_and(|inventory| inventory.host_id == own)
}

/// Says that another host has our key.
pub fn tell(own: HostId) {
    let hint = "stop one of them; a copied state directory holds the key of the original";
    tracing::error!(host = %own, hint, "another host in this lattice has the key of this one; commands reach both");
}

/// Counts the answers to our pings that come under our own key: there is one for each ping, our own.
#[derive(Debug, Default)]
pub struct OwnAnswers {
    round: u64,
    answers: u32,
}

impl OwnAnswers {
    /// The next ping is sent; its number.
    pub fn next_round(&mut self) -> u64 {
        (self.round, self.answers) = (self.round + 1, 0);
        self.round
    }

    /// An answer came under our key. Whether it is the first that cannot be our own.
    pub fn heard(&mut self, round: u64) -> bool {
        self.answers += u32::from(round == self.round);
        round == self.round && self.answers == 2
    }
}

#[cfg(test)]
mod tests {
    use claims::{KeyKind, KeyPair};

    use super::*;

    #[test]
    fn one_answer_to_each_ping_is_our_own_and_late_ones_do_not_count() {
        let mut own = OwnAnswers::default();
        let first = own.next_round();
        assert!(!own.heard(first));
        let second = own.next_round();
        assert!(!own.heard(first), "late");
        assert!(!own.heard(second));
        assert!(own.heard(second));
        assert!(!own.heard(second), "said once");
    }

    #[test]
    fn only_an_inventory_under_our_key_is_one_of_a_twin() {
        let host = || HostId::try_from(KeyPair::generate(KeyKind::Server).public()).expect("a host key");
        let inventory = |id: HostId| format!(r#"{{"host_id":"{id}","actors":[]}}"#);
        let own = host();
        assert!(is_inventory_of(own, inventory(own).as_bytes()));
        for answer in [r#"{"stream":"AUDIT","seq":7}"#, "", "[]", &inventory(host())] {
            assert!(!is_inventory_of(own, answer.as_bytes()), "{answer}");
        }
    }
}
