//! Remembering which invocations were seen, so that one that is sent again is not carried out again.
//!
//! Goes by the signed part of the token, because the id in the envelope is not signed and a replay could carry another
//! one. `memory` decides and forgets, `journal` keeps what is remembered over a restart; time is a parameter. Invariants:
//! whatever is forgotten is too old to be accepted; memory and file are bounded; only tokens whose signature holds may be
//! noted, otherwise anybody could fill the memory.

mod journal;
mod memory;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use claims::ClusterId;
use sha2::{Digest, Sha256};

use self::journal::Journal;
pub use self::memory::{Memory, MemoryBounds, Noted, Seen};
use crate::invocation::{LIFETIME, Verified};

/// How much hosts and providers remember: longer than anything is accepted, because a file keeps times less exactly. An
/// entry takes up to 20 bytes.
const BOUNDS: MemoryBounds = MemoryBounds { of_one: 1 << 20, of_all: 1 << 21, window: LIFETIME + 60 };

/// Why an invocation whose signature holds is refused all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Replayed {
    /// It came before.
    #[error("this invocation was seen before")]
    SeenBefore,
    /// It may have come before: what was seen of that time is forgotten.
    #[error(
        "this invocation was issued longer ago than this receiver remembers under the load it has; the clocks of sender \
         and receiver may be apart"
    )]
    Forgotten,
}

/// The invocations of the last while.
pub struct ReplayGuard {
    memory: Arc<Mutex<Memory>>,
    journal: Option<Journal>,
}

impl Default for ReplayGuard {
    fn default() -> Self {
        Self { memory: Arc::new(Mutex::new(Memory::new(BOUNDS))), journal: None }
    }
}

impl ReplayGuard {
    /// Remembers what a file holds, and keeps there what comes. When the file cannot be used, that is logged, and what is
    /// remembered ends with the process. `now` is in seconds since 1970.
    #[must_use]
    pub fn kept_in(file: &Path, now: u64) -> Self {
        let memory = Arc::new(Mutex::new(Memory::new(BOUNDS)));
        let journal = Journal::open(file, &memory, now).inspect_err(|error| {
            tracing::warn!(
                %error, file = %file.display(),
                "cannot keep which invocations were seen; after a restart one of the last hours could be carried out again"
            );
        });
        Self { memory, journal: journal.ok() }
    }

    /// Notes the token of an invocation (`encoded_claims`) that was verified.
    ///
    /// # Errors
    /// [`Replayed`]; the invocation must be refused.
    pub fn note(&self, verified: &Verified, token: &str, now: u64) -> Result<Noted, Replayed> {
        let noted = Noted { sender: sender(&verified.issuer), issued_at: verified.issued_at, id: id(token) };
        self.note_as(noted, now)?;
        Ok(noted)
    }

    /// Notes what another receiver has seen.
    pub fn heard(&self, noted: Noted, now: u64) {
        let _ = self.note_as(noted, now); // known already, or too old for us as well
    }

    fn note_as(&self, noted: Noted, now: u64) -> Result<(), Replayed> {
        let (seen, raised) = {
            let mut memory = self.lock();
            (memory.note(noted, now), memory.take_raised())
        };
        if let Some(journal) = &self.journal {
            raised.into_iter().for_each(|(sender, floor)| journal.raised(sender, floor));
        }
        match seen {
            Seen::First => {
                if let Some(journal) = &self.journal {
                    journal.noted(noted);
                }
                Ok(())
            }
            Seen::Before => Err(Replayed::SeenBefore),
            Seen::Forgotten => Err(Replayed::Forgotten),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands for a key that signs: each has a bounded part of the memory.
fn sender(issuer: &ClusterId) -> u64 {
    first_bytes(issuer.as_str())
}

/// What stands for a token. Not the signature: there may be several for the same statement.
fn id(token: &str) -> u64 {
    first_bytes(token.rsplit_once('.').map_or(token, |(signed, _)| signed))
}

/// Nobody can aim at the number of another's token: it would have to be known before it is sent.
fn first_bytes(text: &str) -> u64 {
    let digest: [u8; 32] = Sha256::digest(text).into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeSet;

    use bytes::Bytes;
    use claims::{KeyKind, KeyPair};

    use super::*;
    use crate::invocation::{Entity, Invocation};

    const NOW: u64 = 1_800_000_000;

    struct Sender(KeyPair);

    impl Sender {
        fn new() -> Self {
            Self(KeyPair::generate(KeyKind::Cluster))
        }

        fn issue(&self) -> (Verified, String) {
            let host = KeyPair::generate(KeyKind::Server).public().try_into().unwrap();
            let actor = Entity { public_key: "M".to_owned(), ..Entity::default() };
            let call = Invocation::issue(actor.clone(), actor, "Test.Do", Bytes::new(), &self.0, &host, NOW).unwrap();
            let trusted = BTreeSet::from([self.0.public().try_into().unwrap()]);
            (call.validate(NOW, &trusted).unwrap(), call.encoded_claims)
        }
    }

    #[test]
    fn another_signature_does_not_make_another_token() {
        let (guard, (verified, token)) = (ReplayGuard::default(), Sender::new().issue());
        assert!(guard.note(&verified, &token, NOW).is_ok());
        let (signed, _) = token.rsplit_once('.').unwrap();
        for again in [token.clone(), format!("{signed}.other")] {
            assert_eq!(guard.note(&verified, &again, NOW + 60), Err(Replayed::SeenBefore));
        }
    }

    #[test]
    fn what_was_seen_is_remembered_over_a_restart_and_by_those_who_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("seen");
        let (verified, token) = Sender::new().issue();
        let guard = ReplayGuard::kept_in(&file, NOW);
        let noted = guard.note(&verified, &token, NOW).unwrap();
        drop(guard);
        let other = ReplayGuard::default();
        other.heard(noted, NOW);
        for guard in [ReplayGuard::kept_in(&file, NOW + 60), ReplayGuard::kept_in(&file, NOW + LIFETIME), other] {
            assert_eq!(guard.note(&verified, &token, NOW + 60), Err(Replayed::SeenBefore));
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_stops_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let guard = ReplayGuard::kept_in(directory.path(), NOW);
        let (verified, token) = Sender::new().issue();
        assert!(guard.note(&verified, &token, NOW).is_ok());
        assert_eq!(guard.note(&verified, &token, NOW), Err(Replayed::SeenBefore));
    }
}
