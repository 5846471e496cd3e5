//! Sessions between hosts: handshakes, batches as they come and with the input as their entries, and what stands beside them.

use std::sync::OnceLock;

use bytes::Bytes;
use claims::{ClusterId, HostId, KeyKind, KeyPair};
use lattice::{
    client::taken,
    session::{
        Acquaintances, BatchKind, CallParts, Draft, FromCallee, FromCaller, Glance, HEADER_BYTES, Header, Hello,
        MAC_BYTES, MAX_ENTRIES, MacKey, Opened, Refusal, SessionError, SessionId, Unknown, Welcome,
    },
};

use crate::NOW;

fn key() -> MacKey {
    MacKey::new([7; 32])
}

fn session() -> SessionId {
    SessionId([9; 16])
}

/// Any bytes as each of the handshake messages: at most one of them.
pub fn session_handshake(data: &[u8]) {
    let (hello, welcome) = (Hello::decode(data), Welcome::decode(data));
    let (refusal, unknown) = (Refusal::decode(data), Unknown::decode(data));
    let read = [hello.is_ok(), welcome.is_ok(), refusal.is_ok(), unknown.is_ok()];
    assert!(read.iter().filter(|read| **read).count() <= 1);
    if let Ok(hello) = &hello {
        glance(data, hello);
    }
    for error in [hello.err(), welcome.err(), unknown.err()].into_iter().flatten() {
        assert!(!error.to_string().is_empty() && !error.code().is_empty());
    }
    if let Ok(refusal) = refusal {
        let again = Refusal::decode(&refusal.encode()).expect("what we encode decodes");
        assert_eq!(again.code, refusal.code);
        assert!(refusal.sentence.starts_with(&again.sentence), "a long sentence is cut");
    }
}

/// A glance sees the same as a whole reading, or refuses for a reason that the reading leaves to others.
fn glance(question: &[u8], hello: &Hello) {
    let parties = &hello.parties;
    match Glance::at(question, &parties.lattice, &parties.to, &[parties.cluster].into(), NOW) {
        Ok(glance) => {
            let seen = (glance.from, glance.cluster, glance.nonce);
            assert_eq!(seen, (parties.from.as_str(), parties.cluster, hello.nonce));
        }
        Err(SessionError::Time) => {}
        Err(error) => assert!(error == SessionError::Host && parties.from == parties.to, "{error}"),
    }
}

/// What stands beside sessions: the name of a batch in a reply subject, the proof beside a question, and what hosts tell each
/// other of signed calls.
pub fn session_side(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some((session, number)) = SessionId::parse_batch(&text) {
        assert_eq!(SessionId::parse_batch(&session.batch(number)), Some((session, number)));
    }
    let (acquaintances, cluster, host) = own();
    assert!(!acquaintances.holds(b"a question", cluster, &text), "nobody without a key comes upon a proof");
    if let Some(told) = taken::decode(host, data) {
        assert_eq!(taken::encode(host, &told.collect::<Vec<_>>()), data);
    }
}

fn own() -> &'static (Acquaintances, ClusterId, HostId) {
    static OWN: OnceLock<(Acquaintances, ClusterId, HostId)> = OnceLock::new();
    OWN.get_or_init(|| {
        let cluster = KeyPair::from_raw_seed(KeyKind::Cluster, &[3; 32]);
        let id = ClusterId::try_from(cluster.public()).expect("a cluster key");
        let host = KeyPair::from_raw_seed(KeyKind::Server, &[4; 32]).public().try_into().expect("a host key");
        (Acquaintances::new(&cluster, id, &[id].into()), id, host)
    })
}

/// The input as a batch of a stranger, and as the entries of one whose code holds.
pub fn session_batch(data: &[u8]) {
    let stranger = Bytes::copy_from_slice(data);
    if Header::decode(data).is_ok() {
        assert!(data.len() >= HEADER_BYTES + MAC_BYTES);
        // Whoever does not know the key does not find its code.
        assert_eq!(Opened::open(&stranger, &key()).err(), Some(SessionError::Code));
    }
    let mut draft = Draft::new(BatchKind::Calls, session());
    if !draft.fits(data.len(), usize::MAX) {
        return;
    }
    draft.add(|to| to.extend_from_slice(data));
    let opened = Opened::open(&draft.finish(1, &key()), &key()).expect("its code holds");
    if let Ok(entries) = FromCaller::read_all(&opened) {
        assert!(entries.len() <= MAX_ENTRIES);
        assert_eq!(FromCaller::read_all(&again(BatchKind::Calls, |draft| calls(draft, &entries))), Ok(entries));
    }
    if let Ok(entries) = FromCallee::read_all(&opened) {
        assert!(entries.len() <= MAX_ENTRIES);
        let written = again(BatchKind::Answers, |draft| {
            for entry in &entries {
                match entry {
                    FromCallee::Answer { number, answer } => draft.add(|to| answer.write(*number, to)),
                    FromCallee::Last { batch } => draft.add(|to| FromCallee::write_last(*batch, to)),
                }
            }
        });
        let read = FromCallee::read_all(&written).expect("what we write reads");
        assert_eq!(read.len(), entries.len());
    }
}

fn again(kind: BatchKind, write: impl FnOnce(&mut Draft)) -> Opened {
    let mut draft = Draft::new(kind, session());
    write(&mut draft);
    Opened::open(&draft.finish(1, &key()), &key()).expect("its code holds")
}

fn calls(draft: &mut Draft, entries: &[FromCaller]) {
    for entry in entries {
        match entry {
            FromCaller::Cancel { number } => draft.add(|to| FromCaller::write_cancel(*number, to)),
            FromCaller::Call(call) => {
                let parts = CallParts {
                    origin: &call.origin,
                    target: &call.target,
                    operation: &call.operation,
                    trace: &call.trace,
                    payload: &call.payload,
                };
                assert!(parts.can_be_written());
                let before = draft.size();
                draft.add(|to| parts.write(call.number, call.time_left, to));
                assert!(draft.size() - before <= parts.size(), "the announced size is enough");
            }
        }
    }
}
