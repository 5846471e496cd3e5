//! What the protocol promises, whatever the network, an attacker beside it, and the fate of hosts do: no call is carried out
//! twice or in another's name, no wrong answer is taken, what is said not to be begun was not, and once all is well calls
//! are made again.
//!
//! Each seed is one run, the same each time but for the bytes of keys and nonces. `SESSION_SEEDS` sets how many are tried,
//! `SESSION_SEED` tries one.

mod environment;
mod executor;
mod lattice;
mod network;
mod peer;
mod random;

use std::time::Duration;

use sessions::Wish;

use self::{
    lattice::{HOSTS, Lattice, Told, answer_to},
    network::Faults,
    peer::Peer,
};

/// How long things go wrong, and how long it takes at most until they go well again: the longest wait between two
/// handshakes.
const TROUBLE: Duration = Duration::from_secs(15);
const RECOVERY: Duration = Duration::from_secs(65);
/// Longest wait for a call.
const WITHIN: Duration = Duration::from_secs(3);
const STEPS: u32 = 60;

fn seeds(usual: u64) -> impl Iterator<Item = u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    match number("SESSION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SESSION_SEEDS").unwrap_or(usual),
    }
}

/// Lets things go wrong, then well; the lattice as it was left.
fn run(seed: u64, faults: Faults, fates: bool) -> Lattice {
    let lattice = Lattice::new(seed, faults);
    for step in 1..=STEPS {
        disturb(&lattice, fates);
        make_calls(&lattice, step);
        lattice.executor.run_until(TROUBLE * step / STEPS);
    }
    lattice.network.heal();
    // Until those that were stopping have stopped.
    lattice.executor.run_until(TROUBLE + Duration::from_secs(1));
    for index in 0..HOSTS {
        lattice.mend(index);
        if !lattice.runs(index) {
            lattice.start(index);
        }
    }
    lattice.executor.run_until(TROUBLE + RECOVERY);
    lattice
}

fn disturb(lattice: &Lattice, fates: bool) {
    let (what, index) = lattice.executor.random(|random| (random.below(100), random.below(HOSTS)));
    match what {
        _ if !fates => {}
        0..8 => lattice.kill(index),
        8..12 => lattice.stop(index),
        12..18 => lattice.cut(index),
        18..40 => lattice.mend(index),
        40..70 if !lattice.runs(index) => lattice.start(index),
        _ => {}
    }
}

fn make_calls(lattice: &Lattice, step: u32) {
    let count = lattice.executor.random(|random| random.below(12));
    for number in 0..count {
        let (from, spills) = lattice.executor.random(|random| (random.below(HOSTS), random.chance(50)));
        let wish = if spills { Wish::Spill } else { Wish::Elsewhere };
        lattice.call(from, format!("call {number} of step {step}"), wish, WITHIN);
    }
}

/// What holds of every call, whatever happens.
fn check(seed: u64, lattice: &Lattice) {
    let ledger = lattice.ledger();
    assert_eq!(ledger.invented, Vec::<String>::new(), "seed {seed}: nobody sent this");
    for (payload, call) in &ledger.calls {
        assert!(!call.wrong, "seed {seed}: `{payload}` was begun before: {call:?}");
        for (_, origin) in &call.carried_out {
            assert_eq!(*origin, call.origin, "seed {seed}: `{payload}` was carried out in another's name");
        }
        if let Told::Answer(Ok(answer)) = &call.told {
            assert_eq!(*answer, answer_to(payload), "seed {seed}: a wrong answer");
            assert!(!call.carried_out.is_empty(), "seed {seed}: `{payload}` was answered by nobody");
        }
    }
}

/// What holds besides where no copy outlives the process that it went to.
fn check_once(seed: u64, lattice: &Lattice) {
    for (payload, call) in &lattice.ledger().calls {
        let most = usize::from(!call.told.is_not_begun());
        assert!(call.carried_out.len() <= most, "seed {seed}: `{payload}` was carried out once too often: {call:?}");
    }
}

/// Once all is well, each host calls the others, and is answered. The first calls may learn that a session is gone, and
/// take another way.
fn check_progress(seed: u64, lattice: &Lattice) {
    for when in ["before", "at"] {
        for from in 0..HOSTS {
            for number in 0..5 {
                lattice.call(from, format!("call {number} of host {from} {when} the end"), Wish::Spill, WITHIN);
            }
        }
        lattice.executor.run_until(lattice.executor.elapsed() + WITHIN + WITHIN);
    }
    let ledger = lattice.ledger();
    let at_the_end = ledger.calls.iter().filter(|(payload, _)| payload.ends_with(" at the end"));
    for (payload, call) in at_the_end {
        let is_served = match &call.told {
            Told::Answer(Ok(_)) => true,
            // By both others, which is chance.
            Told::Answer(Err(error)) => error.code() == "busy",
            _ => false,
        };
        assert!(is_served, "seed {seed}: `{payload}` was not served: {call:?}");
    }
}

#[test]
fn a_seed_decides_a_run() {
    let faults = Faults { lost: 3, doubled: 10, late: 10, changed: 3, replayed: 20, copies_outlive: false };
    let outcome = || {
        let lattice = run(7, faults, true);
        let told: Vec<Told> = lattice.ledger().calls.values().map(|call| call.told.clone()).collect();
        (told, lattice.executor.random(crate::random::Random::next))
    };
    assert!(outcome() == outcome(), "two runs with one seed came to different ends");
}

#[test]
fn without_trouble_every_call_is_answered() {
    for seed in seeds(20) {
        let lattice = run(seed, Faults::default(), false);
        check(seed, &lattice);
        check_once(seed, &lattice);
        check_progress(seed, &lattice);
        let ledger = lattice.ledger();
        let answered = ledger.calls.values().filter(|call| matches!(call.told, Told::Answer(Ok(_)))).count();
        assert!(answered > ledger.calls.len() * 3 / 4, "seed {seed}: {answered} of {}", ledger.calls.len());
    }
}

#[test]
fn a_network_that_does_its_worst_makes_no_call_twice() {
    let faults = Faults { lost: 5, doubled: 20, late: 20, changed: 5, replayed: 20, copies_outlive: false };
    for seed in seeds(60) {
        let lattice = run(seed, faults, false);
        check(seed, &lattice);
        check_once(seed, &lattice);
        check_progress(seed, &lattice);
    }
}

#[test]
fn hosts_that_die_stop_and_are_cut_off_make_no_call_twice() {
    let faults = Faults { lost: 3, doubled: 10, late: 10, changed: 3, replayed: 20, copies_outlive: false };
    for seed in seeds(60) {
        let lattice = run(seed, faults, true);
        check(seed, &lattice);
        check_once(seed, &lattice);
        check_progress(seed, &lattice);
    }
}

/// What is given up (`docs/sessions.md`): whoever keeps a batch until its host was restarted, and sends it again while its
/// caller still waits, can have it made again, because that host knows nothing of it.
#[test]
fn copies_that_outlive_the_process_they_went_to_change_nothing_within_its_life() {
    let faults = Faults { lost: 3, doubled: 10, late: 10, changed: 3, replayed: 40, copies_outlive: true };
    for seed in seeds(60) {
        let lattice = run(seed, faults, true);
        check(seed, &lattice);
        check_progress(seed, &lattice);
    }
}

/// A session that makes way for newer ones takes no more calls, and says so of those alone that it has not carried out:
/// calls are made again for that word.
#[test]
fn a_session_that_made_way_denies_no_call_that_it_has_carried_out() {
    let lattice = Lattice::new(1, Faults::default());
    let peer = Peer::new(&lattice, 1);
    let (copy, late, late_again) = peer::run(&lattice, async move {
        let session = peer.session().await;
        let (first, second) = (peer.batch(&session, 1, "first"), peer.batch(&session, 2, "second"));
        assert_eq!(peer.send(&session, 1, first.clone()).await, None);
        for _ in 0..4 {
            peer.session().await;
        }
        let copy = peer.send(&session, 1, first).await;
        (copy, peer.send(&session, 2, second.clone()).await, peer.send(&session, 2, second).await)
    });
    assert_eq!(copy, None, "it says nothing of what it has carried out");
    assert!(matches!(late, Some(Ok(_))), "{late:?}");
    assert_eq!(late_again, late);
    let times = |payload: &str| lattice.ledger().calls[payload].carried_out.len();
    assert_eq!((times("first"), times("second")), (1, 0));
}
