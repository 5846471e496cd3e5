//! The one thread that writes: what waits at a time is one transaction and one wait for the disk.
//!
//! Invariant: a caller hears of success only after its change is on disk.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant, SystemTime},
};

use provider_sdk::contracts::{
    CallError,
    keyvalue::{Answer, Request},
};
use redb::Database;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{
    error::{Fault, unusable},
    file::File,
    settings::LinkSettings,
    sweep::{Swept, sweep},
    tables::Tables,
    write::Change,
};

/// Most operations in one transaction.
const AT_ONCE: usize = 256;
/// How long nothing is swept when nothing is due.
const SWEEP_AT_LEAST: Duration = Duration::from_secs(3600);
/// After a failure of the disk.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// One operation that waits for its turn.
pub struct Job {
    pub link: LinkSettings,
    pub request: Request,
    pub deadline: Instant,
    pub done: oneshot::Sender<Result<Answer, CallError>>,
    /// Its place in the queue.
    pub place: OwnedSemaphorePermit,
}

/// What is wrong with the disk, if anything.
pub type Trouble = Arc<Mutex<Option<String>>>;

/// Works until nobody can send a job any more.
pub fn run(file: &File, jobs: &Receiver<Job>, trouble: &Trouble) {
    let mut wait = Duration::ZERO;
    loop {
        let batch = match jobs.recv_timeout(wait) {
            Ok(first) => std::iter::once(first).chain(jobs.try_iter().take(AT_ONCE - 1)).collect(),
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        wait = match write(file, batch) {
            Ok(wait) => {
                set(trouble, None);
                wait
            }
            Err(fault) => {
                set(trouble, Some(fault.to_string()));
                TRY_AGAIN
            }
        };
    }
}

/// Carries out a batch and sweeps; how long nothing is due then.
fn write(file: &File, batch: Vec<Job>) -> Result<Duration, Fault> {
    // An expired call is not started, and one whose caller is gone neither.
    let batch: Vec<Job> =
        batch.into_iter().filter(|job| job.deadline > Instant::now() && !job.done.is_closed()).collect();
    let (mut answers, mut waiting) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
    let mut links = Vec::with_capacity(batch.len());
    for Job { link, request, done, place, .. } in batch {
        links.push((link, request));
        waiting.push((done, place));
    }
    let outcome = file.write(|database| transact(database, links, &mut answers));
    if let Err(fault) = &outcome {
        let reason = fault.to_string();
        answers.clear();
        answers.resize_with(waiting.len(), || Err(unusable(&reason)));
    }
    for ((done, _place), answer) in waiting.into_iter().zip(answers) {
        // Nobody waits any more when this fails.
        let _ = done.send(answer);
    }
    outcome
}

fn transact(
    database: &Database,
    operations: Vec<(LinkSettings, Request)>,
    answers: &mut Vec<Result<Answer, CallError>>,
) -> Result<Duration, Fault> {
    let mut transaction = database.begin_write()?;
    // A database of any size is ready at once after a crash.
    transaction.set_quick_repair(true);
    let mut tables = Tables::open(&transaction)?;
    let now = now_ms();
    for (link, request) in operations {
        let outcome = Change { tables: &mut tables, link: &link, now }.apply(request);
        answers.push(match outcome {
            Ok(answer) => Ok(answer),
            Err(Fault::Call(error)) => Err(error),
            Err(fault) => return Err(fault),
        });
    }
    let swept = sweep(&mut tables, now)?;
    drop(tables);
    transaction.commit()?;
    Ok(match swept {
        Swept::More => Duration::ZERO,
        Swept::Until(None) => SWEEP_AT_LEAST,
        Swept::Until(Some(time)) => Duration::from_millis(time.saturating_sub(now)).min(SWEEP_AT_LEAST),
    })
}

fn set(trouble: &Trouble, reason: Option<String>) {
    let mut trouble = trouble.lock().unwrap_or_else(PoisonError::into_inner);
    match &reason {
        Some(reason) if trouble.as_ref() != Some(reason) => tracing::error!(%reason, "cannot write"),
        None if trouble.is_some() => tracing::info!("can write again"),
        _ => {}
    }
    *trouble = reason;
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
