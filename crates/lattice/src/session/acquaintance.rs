//! The cheap proof beside a question for a session: that whoever asks holds a trusted cluster key.
//!
//! A signature takes fifty times as long to check as a code. Two cluster keys have a secret that only their holders can
//! compute; a code under it stands in a header of the question, one for each key that the asked host may have. Knows no
//! connection. Invariant: the proof decides only what is looked at first; what is believed is signed all the same.

use std::collections::{BTreeMap, BTreeSet};

use claims::{ClusterId, KeyPair};
use data_encoding::BASE64URL_NOPAD;

use super::MacKey;

/// Message header of a question: a code for each cluster key that the asked host may have, joined by commas.
pub const PROOF_HEADER: &str = "Lattice-Proof";

/// Cluster keys that proofs are made for; with more, questions go without.
const MAX_KEYS: usize = 8;
/// Bytes of a code that are sent.
const CODE_BYTES: usize = 16;
/// Longest header that is read.
const MAX_HEADER: usize = MAX_KEYS * (CODE_BYTES * 4 / 3 + 3);

/// The secrets that one cluster key has with the keys it trusts.
pub struct Acquaintances(BTreeMap<ClusterId, Pair>);

struct Pair {
    /// For questions that we ask.
    asking: MacKey,
    /// For questions that we are asked.
    asked: MacKey,
}

impl Acquaintances {
    /// Computes them; one exchange for each key.
    #[must_use]
    pub fn new(own: &KeyPair, own_id: ClusterId, trusted: &BTreeSet<ClusterId>) -> Self {
        let pairs = trusted.iter().filter_map(|other| {
            let shared = own.agree(&other.public_key())?;
            Some((*other, Pair { asking: key(&shared, own_id, *other), asked: key(&shared, *other, own_id) }))
        });
        Self(pairs.collect())
    }

    /// The header for a question; none when there are too many keys for one.
    #[must_use]
    pub fn prove(&self, question: &[u8]) -> Option<String> {
        let code = |pair: &Pair| BASE64URL_NOPAD.encode(&pair.asking.code(question)[..CODE_BYTES]);
        (self.0.len() <= MAX_KEYS).then(|| self.0.values().map(code).collect::<Vec<_>>().join(","))
    }

    /// Whether a header shows that whoever asks `question` in the name of `cluster` holds that key.
    #[must_use]
    pub fn holds(&self, question: &[u8], cluster: &ClusterId, header: &str) -> bool {
        let Some(pair) = self.0.get(cluster).filter(|_| header.len() <= MAX_HEADER) else { return false };
        let code = pair.asked.code(question);
        let mut found = [0; CODE_BYTES];
        header.split(',').filter(|part| part.len() == 22).any(|part| {
            let length = BASE64URL_NOPAD.decode_mut(part.as_bytes(), &mut found);
            // Every byte is looked at, wherever the first difference is.
            length.is_ok() && found.iter().zip(&code[..CODE_BYTES]).fold(0, |all, (a, b)| all | (a ^ b)) == 0
        })
    }
}

fn key(shared: &[u8; 32], asks: ClusterId, answers: ClusterId) -> MacKey {
    let extracted = MacKey::new(MacKey::new(*b"lattice session v1 acquaintance\0").code(shared));
    MacKey::new(extracted.code(&[asks.as_str(), answers.as_str()].concat().into_bytes()))
}

#[cfg(test)]
mod tests {
    use claims::KeyKind;

    use super::*;

    fn key_pair() -> (KeyPair, ClusterId) {
        let pair = KeyPair::generate(KeyKind::Cluster);
        let id = pair.public().try_into().expect("a cluster key");
        (pair, id)
    }

    #[test]
    fn both_ends_of_a_question_know_its_proof_and_nobody_else() {
        let ((one, one_id), (two, two_id), (three, three_id)) = (key_pair(), key_pair(), key_pair());
        let all = BTreeSet::from([one_id, two_id]);
        let (asker, asked) = (Acquaintances::new(&one, one_id, &all), Acquaintances::new(&two, two_id, &all));
        let header = asker.prove(b"question").expect("two keys");
        assert!(asked.holds(b"question", &one_id, &header));
        assert!(asker.holds(b"question", &one_id, &header), "a host with the same key");
        assert!(!asked.holds(b"Question", &one_id, &header));
        assert!(!asked.holds(b"question", &two_id, &header), "in the name of another key");
        assert!(!asked.holds(b"question", &three_id, &header), "a stranger");
        let stranger = Acquaintances::new(&three, three_id, &all);
        assert!(!asked.holds(b"question", &one_id, &stranger.prove(b"question").expect("two keys")));
        // The way back is another one.
        assert!(!asker.holds(b"question", &two_id, &header));
        for bad in ["", ",", "AAAAAAAAAAAAAAAAAAAAAA", &"A,".repeat(1 << 20)] {
            assert!(!asked.holds(b"question", &one_id, bad));
        }
    }

    #[test]
    fn with_very_many_trusted_keys_there_is_no_proof() {
        let (own, own_id) = key_pair();
        let trusted = (0..=MAX_KEYS).map(|_| key_pair().1).collect();
        assert_eq!(Acquaintances::new(&own, own_id, &trusted).prove(b"question"), None);
    }
}
