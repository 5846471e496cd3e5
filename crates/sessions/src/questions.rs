//! Which questions for a session are looked at: forged ones come by the hundred thousand a second and cost little, honest
//! ones cost a signature and are answered soon.
//!
//! What costs nothing is checked first; then the proof of a cluster key, a code; then budgets, for one host and for all,
//! before a signature. Questions without a proof are those of older hosts, and of anybody: few are looked at. Invariant: a
//! question that this host grants was new, and no more memory is used for questions than stated here.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use async_nats::HeaderMap;
use lattice::{
    client::{Memory, MemoryBounds, Noted, Seen},
    session::{Acquaintances, Glance, Hello, MAX_APART, PROOF_HEADER, SessionError},
};
use sha2::{Digest, Sha256};

use crate::{
    budget::{Budget, Budgets, Rate},
    context::Member,
};

/// Signatures that are checked for one host that has shown a trusted key, and for all of them.
const OF_ONE: Rate = Rate { burst: 50, per_second: 5 };
const OF_ALL: Rate = Rate { burst: 2_000, per_second: 500 };
/// The same for those who have not shown one.
const OF_ONE_STRANGER: Rate = Rate { burst: 4, per_second: 1 };
const OF_STRANGERS: Rate = Rate { burst: 40, per_second: 10 };
/// Refusals that are sent.
const REFUSALS: Rate = Rate { burst: 200, per_second: 50 };
/// Questions remembered, of one host and of all.
const REMEMBERED: MemoryBounds = MemoryBounds { of_one: 1 << 12, of_all: 1 << 16, window: MAX_APART + 60 };

/// Decides which questions are looked at.
pub struct Questions {
    acquaintances: Acquaintances,
    shares: Mutex<Shares>,
}

struct Shares {
    members: Budgets<u64>,
    strangers: Budgets<u64>,
    refusals: Budget,
    seen: Memory,
}

impl Questions {
    pub fn new(acquaintances: Acquaintances) -> Self {
        let shares = Shares {
            members: Budgets::new(OF_ONE, OF_ALL),
            strangers: Budgets::new(OF_ONE_STRANGER, OF_STRANGERS),
            refusals: Budget::new(REFUSALS),
            seen: Memory::new(REMEMBERED),
        };
        Self { acquaintances, shares: Mutex::new(shares) }
    }

    /// The header that a question goes with.
    pub fn prove(&self, question: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(proof) = self.acquaintances.prove(question) {
            headers.insert(PROOF_HEADER, proof);
        }
        headers
    }

    /// A question that is new and signed as it must be; `time` is in seconds since 1970.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn accept(
        &self,
        question: &[u8],
        headers: Option<&HeaderMap>,
        own: &Member,
        (now, time): (Instant, u64),
    ) -> Result<Hello, SessionError> {
        let proof = headers.and_then(|headers| headers.get(PROOF_HEADER));
        let strangers_may = !self.lock().strangers.is_used_up(now);
        if proof.is_none() && !strangers_may {
            return Err(SessionError::Busy);
        }
        let glance = Glance::at(question, &own.lattice, &own.host, &own.trusted, time)?;
        let is_proven = proof.is_some_and(|proof| self.acquaintances.holds(question, &glance.cluster, proof.as_str()));
        if !is_proven && !strangers_may {
            return Err(SessionError::Busy);
        }
        let noted = noted(&glance);
        self.admit(noted, is_proven, now)?;
        let hello = Hello::accept(question, &own.lattice, &own.host, &own.trusted, time)?;
        // Only now: what nobody signed must not be remembered.
        match self.lock().seen.note(noted, time) {
            Seen::First => Ok(hello),
            Seen::Before | Seen::Forgotten => Err(SessionError::Replayed),
        }
    }

    fn admit(&self, noted: Noted, is_proven: bool, now: Instant) -> Result<(), SessionError> {
        let mut shares = self.lock();
        if shares.seen.knows(noted) {
            return Err(SessionError::Replayed);
        }
        let budgets = if is_proven { &mut shares.members } else { &mut shares.strangers };
        if budgets.take(noted.sender, now) { Ok(()) } else { Err(SessionError::Busy) }
    }

    /// Whether a question that is refused is answered. Nobody waits for the answers to a flood.
    pub fn is_worth_an_answer(&self, error: &SessionError, now: Instant) -> bool {
        *error != SessionError::Busy && self.lock().refusals.take(1, now)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn noted(glance: &Glance<'_>) -> Noted {
    let number = |bytes: &[u8]| {
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    };
    Noted { sender: number(glance.from.as_bytes()), issued_at: glance.issued_at, id: number(&glance.nonce) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use claims::{ClusterId, KeyKind, KeyPair};

    use super::*;

    fn questions() -> Questions {
        let key = KeyPair::generate(KeyKind::Cluster);
        let id = ClusterId::try_from(key.public()).expect("a cluster key");
        Questions::new(Acquaintances::new(&key, id, &BTreeSet::from([id])))
    }

    fn from(sender: u64, id: u64) -> Noted {
        Noted { sender, issued_at: 1_700_000_000, id }
    }

    #[test]
    fn strangers_get_few_signatures_and_take_none_from_members() {
        let (questions, now) = (questions(), Instant::now());
        let of_strangers =
            (0..100_000).filter(|number| questions.admit(from(*number % 1_000, *number), false, now).is_ok()).count();
        assert_eq!(of_strangers, OF_STRANGERS.burst as usize);
        let of_one = (0..1_000).filter(|number| questions.admit(from(1, *number), true, now).is_ok()).count();
        assert_eq!(of_one, OF_ONE.burst as usize);
        assert!(questions.admit(from(2, 1), true, now).is_ok(), "another member has its own");
        assert_eq!(questions.admit(from(1, 1), true, now), Err(SessionError::Busy));
    }

    #[test]
    fn refusals_are_sent_within_a_budget() {
        let (questions, now) = (questions(), Instant::now());
        let answered = (0..100_000).filter(|_| questions.is_worth_an_answer(&SessionError::Signature, now)).count();
        assert_eq!(answered, REFUSALS.burst as usize);
    }
}
