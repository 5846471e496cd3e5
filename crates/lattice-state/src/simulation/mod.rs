//! The protocol of this crate in a world that a seed decides: hosts, disks, connections and a broker, all in one thread.
//!
//! What runs is the store as hosts run it ([`crate::store::Owner::run`]); what is simulated lies behind the two ports. A run
//! ends with everything mended, and then: all hosts and the broker agree, soon, however many keys there are; every accepted
//! write is the last one of its key, or was overwritten by one that was not made before it, or stands in a conflict that was
//! said; what is signed is in force or replaced by what counts more; what hosts show is what they have; and connecting again
//! changes nothing.
//!
//! `SEED=17 cargo test -p lattice-state one_seed -- --nocapture` replays a run with its trace.

mod broker;
mod disk;
mod history;
mod keys;
mod lattice;
mod network;
mod plan;
mod random;
mod rules;
mod scheduler;
mod seeds;
mod statements;
mod world;

use std::collections::BTreeMap;

use bytes::Bytes;

use self::{
    history::History,
    lattice::Lattice,
    plan::{Faults, Plan},
};
use crate::Bucket;

/// Microseconds in which hosts agree when everything works, beside those of messages.
const AGREE_WITHIN: u64 = 12_000_000;
/// Messages, one behind the other, that agreeing may take.
const MESSAGES: u64 = 40;
/// Longest wait for the answer to a write, in microseconds.
const ANSWER_WITHIN: u64 = 12_000_000;

/// Runs a plan. What is wrong, if anything is.
fn run(plan: &Plan, history: &History) -> Result<(), String> {
    let mut lattice = Lattice::start(plan, history.clone());
    for (at, step) in &plan.steps {
        rest(&lattice, at * 1_000)?;
        lattice.step(*step);
    }
    rest(&lattice, plan.ends() * 1_000)?;
    lattice.mend();
    agree(plan, &lattice)?;
    judge(plan, &lattice)?;
    again(&lattice)
}

fn rest(lattice: &Lattice, until: u64) -> Result<(), String> {
    match lattice.scheduler.run_until(until) {
        true => Ok(()),
        false => Err("a host does not come to rest".to_owned()),
    }
}

/// Waits until all hosts and the broker hold the same.
fn agree(plan: &Plan, lattice: &Lattice) -> Result<(), String> {
    // A bucket that could not be opened in time, perhaps because it is forbidden, is tried again after a minute.
    let slow = if plan.shape.slow > 0 { 90_000_000 } else { 0 };
    let last = lattice.scheduler.now() + AGREE_WITHIN + slow + MESSAGES * plan.shape.latency;
    loop {
        rest(lattice, lattice.scheduler.now() + 500_000)?;
        match lattice.difference() {
            None => return Ok(()),
            Some(difference) if lattice.scheduler.now() > last => return Err(difference),
            Some(_) => {}
        }
    }
}

fn judge(plan: &Plan, lattice: &Lattice) -> Result<(), String> {
    let mut last = BTreeMap::<(Bucket, String), Bytes>::new();
    for bucket in Bucket::ALL {
        last.extend(lattice.broker.values(bucket).into_iter().map(|(key, value)| ((bucket, key), value)));
    }
    if let Some(lost) = lattice.history.lost(&last).into_iter().next() {
        return Err(lost);
    }
    if let Some(lost) = lattice.history.statement_lost(&last) {
        return Err(lost);
    }
    if plan.shape.faults == Faults::OneAway
        && let Some(older) = lattice.history.older_won(&last)
    {
        return Err(older);
    }
    // In a bucket that was made anew, what is older than what was replaced may come first, and conflicts may chain.
    let others = if plan.shape.faults == Faults::Wipes { 1 } else { usize::MAX };
    // Where a message may be under way for longer than a write waits, hosts do not know what they have sent.
    if plan.shape.faults != Faults::Everything
        && plan.shape.slow == 0
        && let Some(undone) = lattice.history.undone(&last, others)
    {
        return Err(undone);
    }
    if let Some(hidden) = lattice.hidden() {
        return Err(hidden);
    }
    match lattice.history.longest_wait() {
        wait if wait > ANSWER_WITHIN => Err(format!("a write was answered after {} ms", wait / 1_000)),
        _ => Ok(()),
    }
}

/// Connects every host again: nothing may be changed by that.
fn again(lattice: &Lattice) -> Result<(), String> {
    rest(lattice, lattice.scheduler.now() + 20_000_000)?;
    if let Some(difference) = lattice.difference() {
        return Err(format!("they agreed, and do no longer: {difference}"));
    }
    let (changes, conflicts) = (lattice.broker.changes(), lattice.history.conflicts());
    lattice.reconnect();
    rest(lattice, lattice.scheduler.now() + 20_000_000)?;
    if lattice.broker.changes() != changes {
        return Err("a second merge changed something".to_owned());
    }
    if lattice.history.conflicts() != conflicts {
        return Err("a second merge found a conflict".to_owned());
    }
    lattice.difference().map_or(Ok(()), |difference| Err(format!("after a second merge: {difference}")))
}
