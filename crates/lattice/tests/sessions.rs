//! Handshakes and batches of sessions: what two hosts agree on, and everything that must not pass.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use claims::{ActorId, ClusterId, HostId, KeyKind, KeyPair};
use lattice::{
    LatticeId,
    invocation::Entity,
    session::{
        Answer, BatchKind, CallParts, Draft, FromCallee, FromCaller, Granted, Header, Hello, MAC_BYTES, MAX_APART,
        MAX_BATCH_BYTES, MAX_ENTRIES, MAX_LIFETIME, MacKey, Opened, Parties, Refusal, SessionError, SessionId, Unknown,
        Welcome,
    },
};

const NOW: u64 = 1_700_000_000;

/// Two hosts that trust each other.
struct Pair {
    lattice: LatticeId,
    hosts: [HostId; 2],
    keys: [KeyPair; 2],
    clusters: [ClusterId; 2],
    trusted: BTreeSet<ClusterId>,
}

impl Pair {
    fn new() -> Self {
        let keys = [(); 2].map(|()| KeyPair::generate(KeyKind::Cluster));
        let clusters = keys.each_ref().map(|key| ClusterId::try_from(key.public()).expect("a cluster key"));
        Self {
            lattice: "default".parse().expect("a lattice"),
            hosts: [(); 2].map(|()| host()),
            trusted: clusters.into(),
            keys,
            clusters,
        }
    }

    fn parties(&self) -> Parties {
        Parties { lattice: self.lattice.clone(), from: self.hosts[0], to: self.hosts[1], cluster: self.clusters[0] }
    }

    fn ask(&self) -> (Vec<u8>, lattice::session::Asked) {
        Hello::ask(self.parties(), 600, &self.keys[0], NOW)
    }

    fn accept(&self, question: &[u8]) -> Result<Hello, SessionError> {
        Hello::accept(question, &self.lattice, &self.hosts[1], &self.trusted, NOW)
    }

    fn grant(&self, question: &[u8]) -> (Vec<u8>, Granted) {
        let hello = self.accept(question).expect("a good question");
        hello.grant(question, &self.keys[1], self.clusters[1]).expect("granted")
    }

    fn session(&self) -> [Granted; 2] {
        let (question, asked) = self.ask();
        let (answer, theirs) = self.grant(&question);
        [asked.granted(&answer, &self.trusted).expect("taken"), theirs]
    }
}

fn host() -> HostId {
    KeyPair::generate(KeyKind::Server).public().try_into().expect("a host key")
}

fn actor() -> ActorId {
    KeyPair::generate(KeyKind::Module).public().try_into().expect("an actor key")
}

#[test]
fn both_hosts_come_to_the_same_keys() {
    let pair = Pair::new();
    let [ours, theirs] = pair.session();
    assert_eq!((ours.session, ours.lifetime), (theirs.session, theirs.lifetime));
    assert_eq!((ours.host, ours.issuer), (pair.hosts[1], pair.clusters[1]));
    assert_eq!((theirs.host, theirs.issuer), (pair.hosts[0], pair.clusters[0]));
    assert!(theirs.keys.calls.holds(b"m", &ours.keys.calls.code(b"m")));
    assert!(theirs.keys.answers.holds(b"m", &ours.keys.answers.code(b"m")));
    assert!(!theirs.keys.answers.holds(b"m", &ours.keys.calls.code(b"m")), "directions have keys of their own");
    let [other, _] = pair.session();
    assert!(!theirs.keys.calls.holds(b"m", &other.keys.calls.code(b"m")), "and so have sessions");
}

#[test]
fn a_session_lives_no_longer_than_the_longest() {
    let pair = Pair::new();
    let (question, asked) = Hello::ask(pair.parties(), u32::MAX, &pair.keys[0], NOW);
    let (answer, theirs) = pair.grant(&question);
    let ours = asked.granted(&answer, &pair.trusted).expect("taken");
    assert_eq!((ours.lifetime, theirs.lifetime), (MAX_LIFETIME, MAX_LIFETIME));
}

#[test]
fn a_question_is_accepted_only_from_a_trusted_host_of_this_lattice_for_this_host_in_time() {
    let pair = Pair::new();
    let (question, _) = pair.ask();
    let code = |result: Result<Hello, SessionError>| result.expect_err("it must not pass").code();
    let [a, b] = pair.hosts;
    let accept = |lattice: &str, host: &HostId, trusted: &BTreeSet<ClusterId>, now: u64| {
        Hello::accept(&question, &lattice.parse().expect("a lattice"), host, trusted, now)
    };
    assert_eq!(code(accept("other", &b, &pair.trusted, NOW)), "session_lattice");
    assert_eq!(code(accept("default", &host(), &pair.trusted, NOW)), "session_host");
    assert_eq!(code(accept("default", &a, &pair.trusted, NOW)), "session_host", "its own question, sent back");
    assert_eq!(code(accept("default", &b, &[pair.clusters[1]].into(), NOW)), "untrusted_issuer");
    for apart in [NOW - MAX_APART, NOW + MAX_APART] {
        assert!(accept("default", &b, &pair.trusted, apart).is_ok());
    }
    for apart in [NOW - MAX_APART - 1, NOW + MAX_APART + 1] {
        assert_eq!(code(accept("default", &b, &pair.trusted, apart)), "session_time");
    }
    // Signed with another key than it names.
    let (forged, _) = Hello::ask(pair.parties(), 600, &pair.keys[1], NOW);
    assert_eq!(code(pair.accept(&forged)), "session_signature");
}

#[test]
fn an_answer_is_accepted_only_from_the_host_that_was_asked_and_trusted() {
    let pair = Pair::new();
    let code = |result: Result<Granted, SessionError>| result.err().expect("it must not pass").code();
    let (question, asked) = pair.ask();
    let (answer, _) = pair.grant(&question);
    assert_eq!(code(asked.granted(&answer, &[pair.clusters[0]].into())), "untrusted_issuer");

    let (_, another) = pair.ask();
    assert_eq!(code(another.granted(&answer, &pair.trusted)), "session_other_handshake");

    // Of a third host, which is trusted as well, in answer to a question it was not asked.
    let third = Pair { hosts: [pair.hosts[0], host()], keys: pair.keys.clone(), ..Pair::new() };
    let third = Pair { clusters: pair.clusters, trusted: pair.trusted.clone(), ..third };
    let (question, _) = third.ask();
    let (answer, _) = third.grant(&question);
    let (_, asked) = pair.ask();
    assert_eq!(code(asked.granted(&answer, &pair.trusted)), "session_host");

    // Signed with another key than it names.
    let (question, asked) = pair.ask();
    let hello = pair.accept(&question).expect("a good question");
    let (forged, _) = hello.grant(&question, &pair.keys[0], pair.clusters[1]).expect("made");
    assert_eq!(code(asked.granted(&forged, &pair.trusted)), "session_signature");
}

/// Every message that differs from `good` in one byte, is shorter, or longer.
fn damaged(good: &[u8]) -> impl Iterator<Item = (String, Vec<u8>)> {
    let flipped = (0..good.len()).flat_map(move |at| {
        [1, 0x80].map(|bit| {
            let mut bad = good.to_vec();
            bad[at] ^= bit;
            (format!("byte {at} ^ {bit:#x}"), bad)
        })
    });
    let cut = (0..good.len()).map(move |length| (format!("the first {length} bytes"), good[..length].to_vec()));
    flipped.chain(cut).chain([("one byte more".to_owned(), [good, &[0]].concat())])
}

#[test]
fn no_byte_of_a_handshake_can_be_changed() {
    let pair = Pair::new();
    let (question, _) = pair.ask();
    for (what, bad) in damaged(&question) {
        assert!(pair.accept(&bad).is_err(), "question: {what}");
    }
    let (answer, _) = pair.grant(&question);
    for (what, bad) in damaged(&answer) {
        let (_, asked) = pair.ask();
        assert!(Welcome::decode(&bad).is_err() || asked.granted(&bad, &pair.trusted).is_err(), "answer: {what}");
    }
    // The question itself is part of what the answer signs.
    let (question, asked) = pair.ask();
    let (mut other, _) = pair.ask();
    other.truncate(question.len());
    let hello = pair.accept(&question).expect("a good question");
    let (answer, _) = hello.grant(&other, &pair.keys[1], pair.clusters[1]).expect("made");
    assert_eq!(asked.granted(&answer, &pair.trusted).err(), Some(SessionError::Signature));
}

#[test]
fn the_word_that_a_session_is_unknown_is_signed_and_about_one_batch() {
    let pair = Pair::new();
    let session = SessionId::random();
    let word =
        Unknown { lattice: pair.lattice.clone(), from: pair.hosts[1], cluster: pair.clusters[1], session, number: 7 };
    let message = word.encode(&pair.keys[1]);
    let parties = (&pair.lattice, &pair.hosts[1]);
    let accept = |message: &[u8], number| Unknown::accept(message, parties, (session, number), &pair.trusted);
    assert_eq!(accept(&message, 7), Ok(word.clone()));
    assert_eq!(accept(&message, 8), Err(SessionError::OtherHandshake));
    assert_eq!(accept(&word.encode(&pair.keys[0]), 7), Err(SessionError::Signature));
    let elsewhere = Unknown::accept(&message, (&pair.lattice, &pair.hosts[0]), (session, 7), &pair.trusted);
    assert_eq!(elsewhere, Err(SessionError::Host));
    for (what, bad) in damaged(&message) {
        assert!(accept(&bad, 7).is_err(), "{what}");
    }
}

#[test]
fn a_refusal_says_why() {
    let refusal = Refusal::of(&SessionError::Time);
    let message = refusal.encode();
    assert_eq!(Refusal::decode(&message), Ok(refusal));
    for length in 0..message.len() {
        assert!(Refusal::decode(&message[..length]).is_err(), "{length}");
    }
}

fn provider() -> Entity {
    Entity { public_key: "VX".into(), link_name: "a link".into(), contract_id: "wasmcloud:keyvalue".into() }
}

fn batch_of_calls(key: &MacKey, session: SessionId, number: u64) -> (Bytes, Vec<FromCaller>) {
    let (target, origins) = (actor(), [Entity::actor(&actor()), provider()]);
    let trace: BTreeMap<String, String> = [("traceparent".to_owned(), "00-ab-cd-01".to_owned())].into();
    let payloads = [Bytes::new(), Bytes::from(vec![7; 3000])];
    let mut draft = Draft::new(BatchKind::Calls, session);
    let mut expected = Vec::new();
    for (number, (origin, payload)) in (5_u32..).zip(origins.iter().zip(&payloads)) {
        let call = CallParts { origin, target: &target, operation: "Trait.Op", trace: &trace, payload };
        let before = draft.size();
        assert!(draft.fits(call.size(), usize::MAX));
        draft.add(|to| call.write(number, Duration::from_micros(1_500), to));
        assert!(draft.size() - before <= call.size(), "the announced size is enough");
        expected.push(FromCaller::Call(lattice::session::CallEntry {
            number,
            time_left: Duration::from_millis(2),
            target,
            origin: origin.clone(),
            operation: "Trait.Op".to_owned(),
            trace: trace.clone(),
            payload: payload.clone(),
        }));
    }
    draft.add(|to| FromCaller::write_cancel(3, to));
    expected.push(FromCaller::Cancel { number: 3 });
    (draft.finish(number, key), expected)
}

#[test]
fn calls_and_answers_arrive_as_they_were_sent() {
    let (key, session) = (MacKey::new([3; 32]), SessionId::random());
    let (batch, expected) = batch_of_calls(&key, session, 42);
    let header = Header::decode(&batch).expect("a header");
    assert_eq!(header, Header { kind: BatchKind::Calls, session, number: 42 });
    let opened = Opened::open(&batch, &key).expect("its code holds");
    assert_eq!(FromCaller::read_all(&opened), Ok(expected));

    let answers = [
        Answer::Result(Bytes::from_static(b"yes")),
        Answer::Result(Bytes::new()),
        Answer::Stored { length: 1 << 40, digest: [9; 32] },
        Answer::Failure { begun: false, code: "busy".into(), sentence: "full".into() },
        Answer::Failure { begun: true, code: String::new(), sentence: "né".repeat(20_000) },
    ];
    let mut draft = Draft::new(BatchKind::Answers, session);
    for (number, answer) in (1..).zip(&answers) {
        let before = draft.size();
        draft.add(|to| answer.write(number, to));
        assert!(draft.size() - before <= answer.size(), "the announced size is enough");
    }
    let before = draft.size();
    draft.add(|to| FromCallee::write_last(u64::MAX, to));
    assert_eq!(draft.size() - before, FromCallee::LAST_BYTES);
    let batch = draft.finish(1, &key);
    let read = FromCallee::read_all(&Opened::open(&batch, &key).expect("its code holds")).expect("entries");
    assert_eq!(read.len(), 6);
    for ((number, answer), read) in (1..).zip(answers).zip(&read).take(4) {
        assert_eq!(*read, FromCallee::Answer { number, answer });
    }
    let FromCallee::Answer { number: 5, answer: Answer::Failure { sentence, .. } } = &read[4] else {
        panic!("{:?}", read[4])
    };
    assert!(sentence.len() <= 16 * 1024 && sentence.starts_with("né") && sentence.len() > 16_000, "cut");
    assert_eq!(read[5], FromCallee::Last { batch: u64::MAX });
}

#[test]
fn no_byte_of_a_batch_can_be_changed() {
    let (key, session) = (MacKey::new([3; 32]), SessionId::random());
    let (batch, _) = batch_of_calls(&key, session, 1);
    for (what, bad) in damaged(&batch) {
        let bad = Bytes::from(bad);
        let refused = Header::decode(&bad).is_err() || Opened::open(&bad, &key).is_err();
        assert!(refused, "{what}");
    }
    assert_eq!(Opened::open(&batch, &MacKey::new([4; 32])).err(), Some(SessionError::Code));
}

#[test]
fn entries_of_a_believed_host_are_bounded_all_the_same() {
    let (key, session) = (MacKey::new([3; 32]), SessionId::random());
    let opened = |entries: &[u8]| {
        let mut draft = Draft::new(BatchKind::Calls, session);
        draft.add(|to| to.extend_from_slice(entries));
        Opened::open(&draft.finish(1, &key), &key).expect("its code holds")
    };
    // A call that ends anywhere is none, and one that announces a payload that is not there is none.
    let (target, origin, trace) = (actor(), provider(), BTreeMap::new());
    let payload = Bytes::from_static(b"payload");
    let call = CallParts { origin: &origin, target: &target, operation: "Op", trace: &trace, payload: &payload };
    let mut entry = Vec::new();
    call.write(1, Duration::from_secs(1), &mut entry);
    for length in 1..entry.len() {
        assert!(FromCaller::read_all(&opened(&entry[..length])).is_err(), "{length}");
        assert!(FromCallee::read_all(&opened(&entry[..length])).is_err() || length < 6, "{length}");
    }
    let at = entry.len() - payload.len() - 4;
    entry[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(FromCaller::read_all(&opened(&entry)).is_err());

    let cancels = |count: usize| [2_u8, 0, 0, 0, 1].repeat(count);
    assert_eq!(FromCaller::read_all(&opened(&cancels(MAX_ENTRIES))).map(|all| all.len()), Ok(MAX_ENTRIES));
    assert_eq!(FromCaller::read_all(&opened(&cancels(MAX_ENTRIES + 1))), Err(SessionError::TooLarge));

    assert_eq!(Header::decode(&vec![0; MAX_BATCH_BYTES + 1]), Err(SessionError::TooLarge));
    let draft = Draft::new(BatchKind::Calls, session);
    let room = MAX_BATCH_BYTES - draft.size() - MAC_BYTES;
    assert!(draft.fits(room, usize::MAX) && !draft.fits(room + 1, usize::MAX) && !draft.fits(room, 1 << 19));
}
