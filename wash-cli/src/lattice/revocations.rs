//! What is revoked in a lattice, as `wash` reads and changes it.
//!
//! A host hands the lists out as their signers made them; they are verified here, so that a host which lies shows
//! nothing. The rules for the next list are pure. Invariant: a next list holds everything its signer has revoked so far,
//! except what it is asked to leave out, and has a higher number than any list of that signer.

use claims::revocation::{Entry, RevocationList, Revoked, SignedRevocations, Signer, verify};
use lattice::{LatticeId, client::ControlError, control::SignedList};

use crate::{
    lattice::view::Lattice,
    terminal::{
        failure::{Failure, Result},
        output::Printer,
    },
};

/// The lists in force, of all signers.
///
/// # Errors
/// No host that knows revocation answers.
pub async fn in_force(lattice: &Lattice<'_>, printer: &Printer) -> Result<Vec<SignedRevocations>> {
    let lists = lattice.reached.control.revocations().await.map_err(explain)?;
    let (verified, problems) = verified(&lists, &lattice.connection.lattice);
    for problem in problems {
        printer.note(format!("warning: {problem}"));
    }
    Ok(verified)
}

/// Hosts of the 0.82 line do not know the question, which looks like nobody being there.
pub fn explain(error: ControlError) -> Failure {
    let nobody = matches!(error, ControlError::NoHost { .. });
    let failure = Failure::from(error);
    if nobody {
        return failure.hint("hosts of other makers know no revocation: at least one host of ours must run");
    }
    failure
}

/// Those that hold, of each signer the ones with the highest number; and what is wrong with the others.
fn verified(lists: &[SignedList], lattice: &LatticeId) -> (Vec<SignedRevocations>, Vec<String>) {
    let (mut good, mut problems): (Vec<SignedRevocations>, _) = (Vec::new(), Vec::new());
    for list in lists {
        match verify(&list.token) {
            Ok(signed) if signed.list.lattice == lattice.as_str() => good.push(signed),
            Ok(signed) => problems.push(format!(
                "a revocation list of `{}` is for lattice `{}` and is left out",
                signed.signer, signed.list.lattice
            )),
            Err(error) => {
                let failure = Failure::from(error);
                problems.push(format!("a revocation list said to be of `{}` is left out: {failure}", list.signer));
            }
        }
    }
    let highest = |signer: Signer| good.iter().filter(|list| list.signer == signer).map(|list| list.list.number).max();
    let current = good.iter().filter(|list| highest(list.signer) == Some(list.list.number)).cloned().collect();
    (current, problems)
}

/// What a signer has revoked: of two lists with one number, both count. An entry in both is there since the first.
fn entries_of(lists: &[SignedRevocations], signer: Signer) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for entry in lists.iter().filter(|list| list.signer == signer).flat_map(|list| &list.list.entries) {
        match entries.iter_mut().find(|known| known.revoked == entry.revoked) {
            Some(known) if known.since <= entry.since => {}
            Some(known) => *known = entry.clone(),
            None => entries.push(entry.clone()),
        }
    }
    entries
}

/// The next list of a signer, with `added`. None when all of that is revoked already.
///
/// # Errors
/// The numbers are used up.
pub fn with(
    lists: &[SignedRevocations],
    signer: Signer,
    lattice: &LatticeId,
    added: &[Entry],
) -> Result<Option<RevocationList>> {
    let mut entries = entries_of(lists, signer);
    let before = entries.len();
    for entry in added {
        if !entries.iter().any(|known| known.revoked == entry.revoked) {
            entries.push(entry.clone());
        }
    }
    if entries.len() == before {
        return Ok(None);
    }
    Ok(Some(RevocationList { lattice: lattice.to_string(), number: next_number(lists, signer)?, entries }))
}

/// The next list of a signer, without `removed`.
///
/// # Errors
/// The signer has not revoked one of them; or the numbers are used up.
pub fn without(
    lists: &[SignedRevocations],
    signer: Signer,
    lattice: &LatticeId,
    removed: &[Revoked],
) -> Result<RevocationList> {
    let mut entries = entries_of(lists, signer);
    for revoked in removed {
        if !entries.iter().any(|entry| entry.revoked == *revoked) {
            return Err(not_revoked(lists, signer, revoked));
        }
    }
    entries.retain(|entry| !removed.contains(&entry.revoked));
    Ok(RevocationList { lattice: lattice.to_string(), number: next_number(lists, signer)?, entries })
}

fn not_revoked(lists: &[SignedRevocations], signer: Signer, revoked: &Revoked) -> Failure {
    let others: Vec<String> = lists
        .iter()
        .filter(|list| list.signer != signer && list.list.entries.iter().any(|entry| entry.revoked == *revoked))
        .map(|list| format!("`{}`", list.signer))
        .collect();
    let failure = Failure::new(format!("{} `{revoked}` is not revoked by `{signer}`", revoked.kind()));
    if others.is_empty() {
        return failure.hint("see what is revoked with `wash claims revocations`");
    }
    failure.hint(format!("it is revoked by {}, who alone can take that back: `--signer`", others.join(", ")))
}

fn next_number(lists: &[SignedRevocations], signer: Signer) -> Result<u64> {
    let highest = lists.iter().filter(|list| list.signer == signer).map(|list| list.list.number).max().unwrap_or(0);
    highest.checked_add(1).ok_or_else(|| {
        Failure::new(format!("the lists of `{signer}` have used up all numbers"))
            .hint("sign with another trusted cluster key")
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use claims::{KeyKind, KeyPair, revocation::Sha256};

    use super::*;

    fn digest(byte: u8) -> Revoked {
        Revoked::Digest(Sha256([byte; 32]))
    }

    fn entry(byte: u8, since: u64) -> Entry {
        Entry { revoked: digest(byte), reason: None, since }
    }

    fn signed(key: &KeyPair, lattice: &str, number: u64, entries: Vec<Entry>) -> SignedList {
        let token = RevocationList { lattice: lattice.to_owned(), number, entries }.sign(key, 1).unwrap();
        SignedList { signer: key.public().to_string(), number, token }
    }

    fn lattice() -> LatticeId {
        LatticeId::default()
    }

    fn signer(key: &KeyPair) -> Signer {
        Signer::try_from(key.public()).unwrap()
    }

    #[test]
    fn of_each_signer_the_highest_lists_count_and_what_does_not_hold_is_said() {
        let (ours, other) = (KeyPair::generate(KeyKind::Cluster), KeyPair::generate(KeyKind::Cluster));
        let mut forged = signed(&other, "default", 9, vec![entry(7, 1)]);
        forged.token.push('A');
        let lists = [
            signed(&ours, "default", 1, vec![entry(1, 1)]),
            signed(&ours, "default", 2, vec![entry(2, 5)]),
            signed(&ours, "default", 2, vec![entry(3, 1), entry(2, 4)]),
            signed(&other, "default", 1, vec![entry(4, 1)]),
            signed(&other, "elsewhere", 5, vec![entry(5, 1)]),
            forged,
        ];
        let (good, problems) = verified(&lists, &lattice());
        assert_eq!((good.len(), problems.len()), (3, 2), "{problems:?}");
        assert_eq!(entries_of(&good, signer(&ours)), [entry(2, 4), entry(3, 1)], "both lists with the number 2");
    }

    #[test]
    fn the_next_list_keeps_what_was_revoked_and_counts_on() {
        let key = KeyPair::generate(KeyKind::Cluster);
        let (lists, _) = verified(&[signed(&key, "default", 7, vec![entry(1, 1)])], &lattice());
        let next = with(&lists, signer(&key), &lattice(), &[entry(1, 9), entry(2, 9), entry(2, 9)]).unwrap().unwrap();
        assert_eq!((next.number, next.entries), (8, vec![entry(1, 1), entry(2, 9)]));
        assert_eq!(with(&lists, signer(&key), &lattice(), &[entry(1, 9)]).unwrap(), None, "nothing new");
        let first = with(&[], signer(&key), &lattice(), &[entry(1, 1)]).unwrap().unwrap();
        assert_eq!(first.number, 1);
    }

    #[test]
    fn trust_is_given_back_by_whoever_took_it() {
        let (ours, other) = (KeyPair::generate(KeyKind::Cluster), KeyPair::generate(KeyKind::Account));
        let lists = [signed(&ours, "default", 3, vec![entry(1, 1)]), signed(&other, "default", 1, vec![entry(2, 1)])];
        let (lists, _) = verified(&lists, &lattice());
        let next = without(&lists, signer(&ours), &lattice(), &[digest(1)]).unwrap();
        assert_eq!((next.number, next.entries), (4, vec![]));
        let failure = without(&lists, signer(&ours), &lattice(), &[digest(2)]).unwrap_err();
        assert!(failure.next_step().unwrap().contains(&other.public().to_string()), "{failure}");
        without(&lists, signer(&ours), &lattice(), &[digest(3)]).unwrap_err();
    }

    #[test]
    fn used_up_numbers_are_an_error_and_do_not_start_again() {
        let key = KeyPair::generate(KeyKind::Cluster);
        let (lists, _) = verified(&[signed(&key, "default", u64::MAX, vec![])], &lattice());
        with(&lists, signer(&key), &lattice(), &[entry(1, 1)]).unwrap_err();
    }
}
