//! Callers that come, wait, leave and end, in every order.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use shuttle::{future::block_on, thread};

use super::*;
use crate::sync::stepped::{in_every_order, step};

/// Those that run now.
#[derive(Clone, Default)]
struct Running(Arc<AtomicU32>);

impl Running {
    fn run(&self, permit: Permit, limit: u32) {
        assert!(self.0.fetch_add(1, SeqCst) < limit, "more run than may");
        step();
        self.0.fetch_sub(1, SeqCst);
        drop(permit);
    }
}

/// Enters and runs; false when it was turned away.
fn call(gate: &Arc<Admission>, running: &Running, limit: u32) -> bool {
    let permit = match gate.enter() {
        Entry::Admitted(permit) => Some(permit),
        Entry::Queued(place) => block_on(place).ok(),
        Entry::Full | Entry::Closed => None,
    };
    let admitted = permit.is_some();
    permit.into_iter().for_each(|permit| running.run(permit, limit));
    admitted
}

#[test]
fn whoever_waits_gets_in_and_no_more_run_than_may() {
    in_every_order(|| {
        let (gate, running) = (Admission::new(1, 2), Running::default());
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let (gate, running) = (gate.clone(), running.clone());
                thread::spawn(move || assert!(call(&gate, &running, 1), "there is room for it in the queue"))
            })
            .collect();
        callers.into_iter().for_each(|caller| caller.join().expect("no panic"));
        assert_eq!((gate.running(), gate.waiting()), (0, 0));
    });
}

#[test]
fn whoever_leaves_keeps_nobody_out() {
    in_every_order(|| {
        let (gate, running) = (Admission::new(1, 3), Running::default());
        let leaves = gate.clone();
        let leaver = thread::spawn(move || {
            let entry = leaves.enter();
            step();
            drop(entry);
        });
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let (gate, running) = (gate.clone(), running.clone());
                thread::spawn(move || assert!(call(&gate, &running, 1)))
            })
            .collect();
        leaver.join().expect("no panic");
        callers.into_iter().for_each(|caller| caller.join().expect("no panic"));
        assert_eq!((gate.running(), gate.waiting()), (0, 0));
    });
}

#[test]
fn a_limit_that_is_raised_lets_in_and_one_of_zero_leaves_nobody_waiting() {
    in_every_order(|| {
        let (gate, running) = (Admission::new(1, 3), Running::default());
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let (gate, running) = (gate.clone(), running.clone());
                thread::spawn(move || call(&gate, &running, 2))
            })
            .collect();
        gate.set_limit(2);
        gate.set_limit(0);
        callers.into_iter().for_each(|caller| _ = caller.join().expect("no panic"));
        assert_eq!((gate.running(), gate.waiting()), (0, 0));
        assert!(matches!(gate.enter(), Entry::Closed));
    });
}

#[test]
fn whoever_waits_until_nothing_runs_is_told_when_what_ran_has_ended() {
    in_every_order(|| {
        let (gate, ended) = (Admission::new(1, 1), Arc::new(AtomicU32::new(0)));
        let Entry::Admitted(permit) = gate.enter() else { panic!("nothing runs") };
        let told = ended.clone();
        let call = thread::spawn(move || {
            step();
            told.store(1, SeqCst);
            drop(permit);
        });
        block_on(gate.quiet());
        assert_eq!(ended.load(SeqCst), 1, "it runs");
        call.join().expect("no panic");
    });
}
