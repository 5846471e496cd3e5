//! Tables and properties of the lists in force.

use claims::{
    KeyKind, KeyPair,
    revocation::{Entry, RevocationList, verify},
};
use proptest::prelude::*;

use super::*;

impl Revocations {
    fn take(&mut self, signed: Arc<SignedRevocations>) -> Result<Taken, NotTaken> {
        let taken = self.insert(signed, MAX_ACCOUNT_BYTES);
        self.name();
        taken
    }
}

fn key(kind: KeyKind, seed: u8) -> KeyPair {
    KeyPair::from_raw_seed(kind, &[seed; 32])
}

fn account(seed: u8) -> AccountId {
    key(KeyKind::Account, seed).public().try_into().expect("an account key")
}

fn digest(of: &str) -> Revoked {
    Revoked::Digest(Sha256::of(of.as_bytes()))
}

fn signed(signer: &KeyPair, number: u64, revoked: &[Revoked]) -> Arc<SignedRevocations> {
    let entry = |revoked: &Revoked| Entry { revoked: *revoked, reason: Some("because".to_owned()), since: 1 };
    let list = RevocationList { lattice: "l".to_owned(), number, entries: revoked.iter().map(entry).collect() };
    let token = list.sign(signer, number).expect("signs");
    Arc::new(verify(&token).expect("holds"))
}

fn artifact(issuer: u8, subject: u8) -> Provenance {
    let subject = key(KeyKind::Module, subject).public();
    Provenance { issuer: account(issuer), subject, digests: vec![Sha256::of(b"bytes")] }
}

fn of(lists: &[Arc<SignedRevocations>]) -> Revocations {
    let mut revocations = Revocations::default();
    for list in lists {
        let _ = revocations.take(list.clone());
    }
    revocations
}

#[test]
fn a_cluster_key_revokes_by_issuer_by_id_and_by_digest_and_nobody_else() {
    let cluster = key(KeyKind::Cluster, 1);
    let actor = artifact(2, 3);
    let by_actor = Revoked::Actor(actor.subject.try_into().expect("a module key"));
    for revoked in [Revoked::Issuer(account(2)), by_actor, digest("bytes")] {
        let revocations = of(&[signed(&cluster, 5, &[revoked])]);
        let named = revocations.find(&actor).expect("named");
        assert_eq!((named.revoked, named.number), (revoked, 5));
        assert_eq!(named.reason.as_deref(), Some("because"));
        let other = Provenance { digests: vec![Sha256::of(b"other")], ..artifact(4, 5) };
        assert_eq!(revocations.find(&other), None, "{revoked:?}");
    }
}

#[test]
fn an_account_takes_back_what_it_issued_and_not_the_work_of_others() {
    let revocations = of(&[signed(&key(KeyKind::Account, 2), 1, &[digest("bytes")])]);
    assert!(revocations.find(&artifact(2, 3)).is_some());
    assert_eq!(revocations.find(&artifact(4, 3)), None);
}

#[test]
fn a_higher_number_replaces_and_a_lower_one_is_refused() {
    let cluster = key(KeyKind::Cluster, 1);
    let (first, third) = (signed(&cluster, 1, &[digest("a")]), signed(&cluster, 3, &[digest("bytes")]));
    let mut revocations = of(std::slice::from_ref(&first));
    assert_eq!(revocations.take(third.clone()), Ok(Taken::New));
    assert_eq!(revocations.take(third.clone()), Ok(Taken::Known));
    let error = revocations.take(first).expect_err("replaced");
    assert_eq!(
        (error.code(), error),
        ("revocations_replaced", NotTaken::Replaced { signer: third.signer, in_force: 3 })
    );
    assert_eq!(revocations.by_key().len(), 1);
    assert_eq!(revocations.take(signed(&cluster, 4, &[])), Ok(Taken::New), "unrevoking is a list without the entry");
    assert!(revocations.is_empty() && revocations.find(&artifact(2, 3)).is_none());
    assert_eq!(revocations.by_key().len(), 1, "the empty list stays, for its number");
}

#[test]
fn lists_of_accounts_are_bounded_in_bytes_together_and_one_that_replaces_makes_room() {
    let accounts: Vec<_> = (1..=4).map(|seed| key(KeyKind::Account, seed)).collect();
    let lists: Vec<_> = accounts.iter().map(|account| signed(account, 1, &[digest("a")])).collect();
    let (mut revocations, most) =
        (Revocations::default(), lists.iter().map(|list| list.token.len()).sum::<usize>() - 1);
    let taken: Vec<_> = lists.iter().map(|list| revocations.insert(list.clone(), most)).collect();
    assert_eq!(taken, [Ok(Taken::New), Ok(Taken::New), Ok(Taken::New), Err(NotTaken::TooManyBytes)]);
    assert_eq!(revocations.insert(lists[0].clone(), most), Ok(Taken::Known));
    assert_eq!(revocations.insert(signed(&accounts[0], 2, &[]), most), Ok(Taken::New), "a shorter one");
    let cluster = signed(&key(KeyKind::Cluster, 1), 1, &[digest("bytes")]);
    assert_eq!(revocations.insert(cluster, most), Ok(Taken::New), "cluster keys are never turned away");
    assert_eq!(revocations.by_key().len(), 4);
}

#[test]
fn many_lists_taken_at_once_are_in_force_as_if_one_after_another() {
    let (cluster, account) = (key(KeyKind::Cluster, 1), key(KeyKind::Account, 2));
    let lists =
        [signed(&cluster, 1, &[digest("a")]), signed(&cluster, 2, &[digest("bytes")]), signed(&account, 1, &[])];
    let mut at_once = Revocations::default();
    assert_eq!(at_once.take_all(lists.clone()), None);
    assert_eq!(at_once, of(&lists));
    assert!(at_once.find(&artifact(2, 3)).is_some());
    let replaced = NotTaken::Replaced { signer: lists[0].signer, in_force: 2 };
    assert_eq!(at_once.take_all([lists[0].clone()]), Some(replaced));
}

#[test]
fn two_lists_of_one_number_are_both_in_force_until_a_higher_one() {
    let cluster = key(KeyKind::Cluster, 1);
    let mut revocations = of(&[signed(&cluster, 2, &[digest("a")]), signed(&cluster, 2, &[digest("bytes")])]);
    assert!(revocations.find(&artifact(2, 3)).is_some());
    assert_eq!(revocations.by_key().len(), 2);
    revocations.take(signed(&cluster, 3, &[])).expect("higher");
    assert_eq!(revocations.by_key().len(), 1);
}

#[test]
fn lists_of_one_number_and_accounts_are_bounded_and_cluster_keys_are_never_turned_away() {
    let cluster = key(KeyKind::Cluster, 1);
    let lists: Vec<_> = (0..=MAX_EQUAL).map(|n| signed(&cluster, 2, &[digest(&n.to_string())])).collect();
    let (forwards, backwards) = (of(&lists), of(&lists.iter().rev().cloned().collect::<Vec<_>>()));
    assert_eq!(forwards.by_key().len(), MAX_EQUAL);
    assert_eq!(forwards, backwards, "which ones stay does not depend on the order");
    let left_out = lists.iter().find(|list| !forwards.by_key().contains_key(&key_of(list))).expect("one too many");
    assert_eq!(
        forwards.clone().take(left_out.clone()).map_err(|error| error.code()),
        Err("too_many_equal_revocations")
    );

    let mut revocations = Revocations::default();
    let many: Vec<_> = (0..MAX_ACCOUNTS)
        .map(|n| {
            KeyPair::from_raw_seed(
                KeyKind::Account,
                &[[u8::try_from(n).expect("few"); 16], [9; 16]].concat().try_into().expect("32 bytes"),
            )
        })
        .collect();
    for signer in &many {
        assert_eq!(revocations.take(signed(signer, 1, &[digest("a")])), Ok(Taken::New));
    }
    let one_more = signed(&key(KeyKind::Account, 77), 1, &[digest("a")]);
    assert_eq!(revocations.take(one_more), Err(NotTaken::TooManyAccounts));
    assert_eq!(revocations.take(signed(&many[0], 2, &[])), Ok(Taken::New), "who is in the list may go on");
    assert_eq!(revocations.take(signed(&cluster, 1, &[digest("a")])), Ok(Taken::New));
}

#[test]
fn upkeep_puts_back_what_is_missing_or_damaged_and_removes_what_was_replaced() {
    let cluster = key(KeyKind::Cluster, 1);
    let (old, new) = (signed(&cluster, 1, &[digest("a")]), signed(&cluster, 2, &[digest("b")]));
    let revocations = of(&[old.clone(), new.clone()]);
    let (old_key, new_key) = (key_of(&old), key_of(&new));
    let judged = BTreeSet::from([old_key.clone(), new_key.clone()]);
    let missing = vec![(new_key.clone(), new.clone())];
    for (held, put) in [(Some(new.token.as_str()), vec![]), (None, missing.clone()), (Some("damaged"), missing)] {
        let held = |key: &str| held.filter(|_| key == new_key).map(str::as_bytes);
        assert_eq!(upkeep(&revocations, held, &judged), Upkeep { put, remove: vec![old_key.clone()] });
    }
    let stranger = upkeep(&revocations, |_| Some(new.token.as_bytes()), &BTreeSet::new());
    assert_eq!(stranger.remove, Vec::<String>::new(), "what this host cannot judge it leaves alone");
}

prop_compose! {
    /// A list of one of three signers, with few numbers and contents, so that they meet.
    fn any_list()(signer in 0u8..3, number in 1u64..4, what in 0u8..4) -> (u8, u64, u8) {
        (signer, number, what)
    }
}

fn made((signer, number, what): (u8, u64, u8)) -> Arc<SignedRevocations> {
    let kind = if signer == 0 { KeyKind::Account } else { KeyKind::Cluster };
    signed(&key(kind, signer), number, &[digest(&what.to_string())])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn merging_is_commutative_associative_and_idempotent(
        lists in proptest::collection::vec(any_list(), 0..12), order in any::<proptest::sample::Index>(), cut in 0usize..12,
    ) {
        let lists: Vec<_> = lists.into_iter().map(made).collect();
        let all = of(&lists);
        // Another order, each list twice.
        let mut turned = lists.clone();
        if !turned.is_empty() {
            turned.rotate_left(order.index(lists.len()));
            turned.reverse();
        }
        turned.extend(lists.clone());
        prop_assert_eq!(&of(&turned), &all);
        // Two sides that see a part each, then exchange what is in force.
        let (left, right) = lists.split_at(cut.min(lists.len()));
        let (left, right) = (of(left), of(right));
        let mut joined = left.clone();
        for list in right.all() {
            let _ = joined.take(list.clone());
        }
        let mut other_way = right;
        for list in left.all() {
            let _ = other_way.take(list.clone());
        }
        prop_assert_eq!(&joined, &all);
        prop_assert_eq!(&other_way, &all);
    }

    #[test]
    fn what_is_in_force_is_of_the_highest_number_of_its_signer(lists in proptest::collection::vec(any_list(), 0..12)) {
        let lists: Vec<_> = lists.into_iter().map(made).collect();
        let all = of(&lists);
        for list in &lists {
            let highest = lists.iter().filter(|other| other.signer == list.signer).map(|other| other.list.number).max();
            prop_assert_eq!(all.by_key().contains_key(&key_of(list)), Some(list.list.number) == highest);
        }
    }
}
