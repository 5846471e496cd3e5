//! How much of what other hosts tell is read: all that members tell, and a bounded share of everything else.
//!
//! Whoever reaches the broker can tell anything about any host. What costs much, a signature or the reading of a long
//! message, is done within a budget: for one host, and for all. Invariant: nothing is read before it was decided here.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use async_nats::HeaderMap;
use claims::{ClusterId, HostId};
use lattice::{
    LatticeId,
    member::{MEMBER_HEADER, Word},
};

use sessions::{Budget, Budgets, Rate};

use crate::peers::Standing;

/// Words that are checked: of one host, which may start many actors at once, and of all.
const WORDS_OF_ONE: Rate = Rate { burst: 2_000, per_second: 50 };
const WORDS: Rate = Rate { burst: 10_000, per_second: 1_000 };
/// Bytes that are hashed for words.
const HASHED: Rate = Rate { burst: 128 << 20, per_second: 32 << 20 };
/// Longest message of a stranger that is read: some thousand actors.
const MAX_BYTES_OF_STRANGER: usize = 256 << 10;
/// Bytes of strangers that are read.
const BYTES_OF_STRANGERS: Rate = Rate { burst: 8 << 20, per_second: 2 << 20 };

/// Decides what is read.
pub struct Intake(Mutex<Shares>);

struct Shares {
    words: Budgets<HostId>,
    hashed: Budget,
    strangers: Budget,
    dropped: u64,
}

/// Of whom a message is that may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Teller {
    /// A member, by the word of its key.
    Member(HostId),
    /// Anybody.
    Stranger,
}

impl Teller {
    /// The standing of a message that names its host.
    #[must_use]
    pub fn standing(self, host: &HostId) -> Option<Standing> {
        match self {
            Self::Member(member) => (member == *host).then_some(Standing::Member),
            Self::Stranger => Some(Standing::Stranger),
        }
    }
}

impl Default for Intake {
    fn default() -> Self {
        Self(Mutex::new(Shares {
            words: Budgets::new(WORDS_OF_ONE, WORDS),
            hashed: Budget::new(HASHED),
            strangers: Budget::new(BYTES_OF_STRANGERS),
            dropped: 0,
        }))
    }
}

impl Intake {
    /// Who tells a message; none when it is not to be read.
    pub fn teller(
        &self,
        message: &[u8],
        headers: Option<&HeaderMap>,
        (own, lattice): (&HostId, &LatticeId),
        trusted: &BTreeSet<ClusterId>,
        now: Instant,
    ) -> Option<Teller> {
        let word = headers.and_then(|headers| headers.get(MEMBER_HEADER)?.as_str().parse::<Word>().ok());
        // A key that is not trusted here says nothing: its host is a stranger like any other.
        let Some(word) = word.filter(|word| trusted.contains(&word.cluster)) else {
            return self.takes_of_stranger(message.len(), now).then_some(Teller::Stranger);
        };
        if word.host == *own {
            // What this host told itself comes back; nothing is learned from it but that another one may have its key.
            return Some(Teller::Member(*own));
        }
        if !self.takes_word(word.host, message.len(), now) {
            return None;
        }
        word.holds(lattice, message, trusted).then_some(Teller::Member(word.host))
    }

    fn takes_of_stranger(&self, bytes: usize, now: Instant) -> bool {
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let amount = u32::try_from(bytes).unwrap_or(u32::MAX);
        let taken = bytes <= MAX_BYTES_OF_STRANGER && budgets.strangers.take(amount, now);
        budgets.count(taken)
    }

    fn takes_word(&self, host: HostId, bytes: usize, now: Instant) -> bool {
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let amount = u32::try_from(bytes).unwrap_or(u32::MAX);
        let taken = budgets.words.take(host, now) && budgets.hashed.take(amount, now);
        budgets.count(taken)
    }

    /// Messages that were not read.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).dropped
    }
}

impl Shares {
    fn count(&mut self, taken: bool) -> bool {
        if !taken {
            self.dropped += 1;
            if self.dropped == 1 {
                tracing::warn!(
                    "more is told about other hosts than this one reads; what is not signed by a trusted cluster key is \
                     dropped first, and counted in `lattice_peer_messages_dropped_total`"
                );
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use claims::{KeyKind, KeyPair};

    use super::*;

    struct World {
        intake: Intake,
        own: HostId,
        lattice: LatticeId,
        key: KeyPair,
        trusted: BTreeSet<ClusterId>,
        now: Instant,
    }

    impl World {
        fn new() -> Self {
            let key = KeyPair::generate(KeyKind::Cluster);
            let trusted = [ClusterId::try_from(key.public()).expect("a cluster key")].into();
            let (own, lattice) = (host(), LatticeId::default());
            Self { intake: Intake::default(), own, lattice, key, trusted, now: Instant::now() }
        }

        fn teller(&self, message: &[u8], header: Option<&str>) -> Option<Teller> {
            let headers = header.map(|header| {
                let mut headers = HeaderMap::new();
                headers.insert(MEMBER_HEADER, header);
                headers
            });
            self.intake.teller(message, headers.as_ref(), (&self.own, &self.lattice), &self.trusted, self.now)
        }
    }

    fn host() -> HostId {
        KeyPair::generate(KeyKind::Server).public().try_into().expect("a host key")
    }

    #[test]
    fn strangers_are_read_within_a_budget_and_members_beside_it() {
        let (world, member) = (World::new(), host());
        assert_eq!(world.teller(&vec![0; MAX_BYTES_OF_STRANGER + 1], None), None);
        let long = vec![0; MAX_BYTES_OF_STRANGER];
        let read = (0..100).filter(|_| world.teller(&long, None) == Some(Teller::Stranger)).count();
        assert_eq!(read, (8 << 20) / MAX_BYTES_OF_STRANGER);
        assert_eq!(world.intake.dropped(), 101 - 32);
        let word = Word::header(&world.lattice, &member, &long, &world.key);
        assert_eq!(world.teller(&long, Some(&word)), Some(Teller::Member(member)));
        assert_eq!(Teller::Member(member).standing(&host()), None, "nobody tells about another");
    }

    #[test]
    fn forged_words_of_one_host_do_not_use_up_what_the_others_have() {
        let (world, member, other) = (World::new(), host(), host());
        let forged = Word::header(&world.lattice, &member, b"another", &world.key);
        for _ in 0..3_000 {
            assert_eq!(world.teller(b"message", Some(&forged)), None);
        }
        assert!(world.intake.dropped() >= 900, "{}", world.intake.dropped());
        let word = Word::header(&world.lattice, &other, b"message", &world.key);
        assert_eq!(world.teller(b"message", Some(&word)), Some(Teller::Member(other)));
    }
}
