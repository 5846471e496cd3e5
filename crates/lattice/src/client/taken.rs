//! What hosts tell each other of the signed calls they have taken: `wasmbus.rpc.{lattice}.{host}.seen`.
//!
//! ```text
//! seen  "LR1\n"  to (N…, 56 bytes)  (sender:u64  issued_at:u64  id:u64)…        numbers are big-endian
//! ```
//!
//! It stands beside the word of a member ([`crate::member`]), which signs it. Knows no connection. Invariant: what one host
//! is told says nothing to another.

use claims::HostId;

use super::Noted;

const MAGIC: &[u8; 4] = b"LR1\n";
const RECORD: usize = 24;

/// Calls that are told together, at most.
pub const MOST: usize = 1024;

/// The message that tells a host of calls.
#[must_use]
pub fn encode(to: &HostId, noted: &[Noted]) -> Vec<u8> {
    let mut message = Vec::with_capacity(MAGIC.len() + to.as_str().len() + noted.len() * RECORD);
    message.extend_from_slice(MAGIC);
    message.extend_from_slice(to.as_str().as_bytes());
    for Noted { sender, issued_at, id } in noted {
        [sender, issued_at, id].into_iter().for_each(|number| message.extend_from_slice(&number.to_be_bytes()));
    }
    message
}

/// What the host `own` is told; none when the message is not for it, or is none.
pub fn decode<'m>(own: &HostId, message: &'m [u8]) -> Option<impl Iterator<Item = Noted> + use<'m>> {
    let records = message.strip_prefix(MAGIC)?.strip_prefix(own.as_str().as_bytes())?;
    if records.len() % RECORD != 0 || records.len() > MOST * RECORD {
        return None;
    }
    let number = |record: &[u8], at: usize| u64::from_be_bytes(record[at..at + 8].try_into().expect("eight bytes"));
    Some(records.chunks_exact(RECORD).map(move |record| Noted {
        sender: number(record, 0),
        issued_at: number(record, 8),
        id: number(record, 16),
    }))
}

#[cfg(test)]
mod tests {
    use claims::{KeyKind, KeyPair};

    use super::*;

    #[test]
    fn what_is_told_is_read_by_the_host_it_is_told_to() {
        let host = || HostId::try_from(KeyPair::generate(KeyKind::Server).public()).expect("a host key");
        let (one, other) = (host(), host());
        let noted: Vec<Noted> = (0..3).map(|n| Noted { sender: n, issued_at: n + 1, id: u64::MAX - n }).collect();
        let message = encode(&one, &noted);
        assert_eq!(decode(&one, &message).expect("it is one").collect::<Vec<_>>(), noted);
        assert!(decode(&other, &message).is_none());
        for bad in [&message[..message.len() - 1], &message[..3], b"", &encode(&one, &[noted[0]; MOST + 1])] {
            assert!(decode(&one, bad).is_none());
        }
    }
}
