//! Sessions between hosts: handshakes, and batches as they come and with the input as their entries.

use bytes::Bytes;
use lattice::session::{
    BatchKind, CallParts, Draft, FromCallee, FromCaller, HEADER_BYTES, Header, Hello, MAC_BYTES, MAX_ENTRIES, MacKey,
    Opened, Refusal, SessionError, SessionId, Unknown, Welcome,
};

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
    for error in [hello.err(), welcome.err(), unknown.err()].into_iter().flatten() {
        assert!(!error.to_string().is_empty() && !error.code().is_empty());
    }
    if let Ok(refusal) = refusal {
        let again = Refusal::decode(&refusal.encode()).expect("what we encode decodes");
        assert_eq!(again.code, refusal.code);
        assert!(refusal.sentence.starts_with(&again.sentence), "a long sentence is cut");
    }
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
