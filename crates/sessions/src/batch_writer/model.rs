//! The batch writer under every order of its steps that a scheduler with a seed comes to: what was added leaves, in order,
//! and once. A writer with a fault put into it is caught, so that it is known that the model can see one.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use lattice::session::{Answer, BatchKind, FromCallee, HEADER_BYTES, Header, MAC_BYTES, MacKey, Opened, SessionId};
use shuttle::{
    Config, Runner, future,
    rand::{Rng, rngs::ThreadRng, thread_rng},
    scheduler::{PctScheduler, RandomScheduler},
    sync::Mutex,
    thread,
};

use tokio::sync::Semaphore;

use super::{BatchWriter, Company, Outlet};

/// Schedules that are tried of each kind.
const SCHEDULES: usize = 3_000;
/// Points at which the second kind of scheduler takes the turn from a thread.
const PREEMPTIONS: usize = 4;
const THREADS: u32 = 3;
const ENTRIES: u32 = 3;
/// A message in which one empty answer has room and two have not.
const ONE_ENTRY: usize = HEADER_BYTES + MAC_BYTES + 15;

/// A connection that takes a message at once, or only when it is asked again.
struct Connection {
    taken: Arc<Mutex<Vec<Bytes>>>,
    /// Largest message.
    most: usize,
    fault: Fault,
    /// How often it may have written what it was given; as often as it likes where there is none.
    writes: Option<Arc<Semaphore>>,
}

/// What a writer does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// It takes no heed of what came while it wrote: a lost wake-up.
    Sleeps,
    /// It goes on with the next batch when one is stuck.
    Overtakes,
}

/// Ready when it is polled once more.
struct Later(bool);

impl Future for Later {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Outlet for Connection {
    fn max_payload(&self) -> usize {
        self.most
    }

    async fn send(&self, number: u64, batch: Bytes) {
        // Every third time the connection is full for a moment.
        if random(|random| random.gen_ratio(1, 3)) {
            if self.fault == Fault::Overtakes && number % 2 == 1 {
                let taken = self.taken.clone();
                future::spawn(async move { taken.lock().expect("nobody panics").push(batch) });
                return;
            }
            Later(false).await;
        }
        self.taken.lock().expect("nobody panics").push(batch);
    }

    async fn pause(&self) {
        future::yield_now().await;
    }

    async fn written(&self) {
        match &self.writes {
            Some(writes) => writes.acquire().await.expect("it stays open").forget(),
            None => Later(false).await,
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if self.fault != Fault::Sleeps {
            future::spawn(task);
        }
    }
}

fn random<T>(ask: impl FnOnce(&mut ThreadRng) -> T) -> T {
    ask(&mut thread_rng())
}

fn key() -> MacKey {
    MacKey::new([5; 32])
}

/// Some threads add entries, alone or in company, and look at what was taken when all is quiet.
fn add_from_several_threads(fault: Fault) {
    let taken = Arc::new(Mutex::new(Vec::new()));
    // In every other run each entry is a batch.
    let most = if random(|random| random.gen_bool(0.5)) { ONE_ENTRY } else { 1 << 20 };
    let outlet = Connection { taken: taken.clone(), most, fault, writes: None };
    let writer = BatchWriter::new(outlet, BatchKind::Answers, SessionId([1; 16]), key());
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let writer = writer.clone();
            thread::spawn(move || add_in_order(&writer, thread))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("nobody panics"));
    // Shuttle ends a run when nothing can run any more, and every spawned task is one that runs.
    drop(writer);
    future::block_on(quiet(&taken));
    check(&taken.lock().expect("nobody panics"));
}

fn add_in_order(writer: &Arc<BatchWriter<Connection>>, thread: u32) {
    for entry in 0..ENTRIES {
        let (number, answer) = (thread * 100 + entry, Answer::Result(Bytes::new()));
        let company = Company::of(usize::from(random(|random| random.gen_bool(0.5))));
        writer.add(answer.size(), company, |to| answer.write(number, to)).expect("there is room");
    }
}

/// Returns when all entries are there; what is lost makes it give up after many turns.
async fn quiet(taken: &Mutex<Vec<Bytes>>) {
    let mut turns = 0;
    while entries(&taken.lock().expect("nobody panics")).len() < (THREADS * ENTRIES) as usize {
        turns += 1;
        assert!(turns < 2_000, "an entry waits, and nobody writes it");
        future::yield_now().await;
    }
}

fn entries(batches: &[Bytes]) -> Vec<u32> {
    let read = |batch| FromCallee::read_all(&Opened::open(batch, &key()).expect("its code holds")).expect("answers");
    let number = |entry| match entry {
        FromCallee::Answer { number, .. } => number,
        FromCallee::Last { .. } => unreachable!("nobody writes it"),
    };
    batches.iter().flat_map(read).map(number).collect()
}

fn check(batches: &[Bytes]) {
    let numbers: Vec<u64> = batches.iter().map(|batch| Header::decode(batch).expect("a header").number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "batches leave in the order of their numbers");
    let entries = entries(batches);
    for thread in 0..THREADS {
        let of_thread: Vec<u32> = entries.iter().copied().filter(|number| number / 100 == thread).collect();
        let expected: Vec<u32> = (0..ENTRIES).map(|entry| thread * 100 + entry).collect();
        assert_eq!(of_thread, expected, "each once, in the order in which they were added");
    }
}

/// Tries schedules; what went wrong in one of them.
fn try_schedules(fault: Fault) -> Result<(), String> {
    let run = |runner: &dyn Fn()| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(runner)).map_err(|panic| {
            panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic without words".to_owned())
        })
    };
    let mut config = Config::new();
    config.stack_size = 1 << 17;
    let random = config.clone();
    run(&|| {
        Runner::new(RandomScheduler::new(SCHEDULES), random.clone()).run(move || add_from_several_threads(fault));
    })?;
    run(&|| {
        Runner::new(PctScheduler::new(PREEMPTIONS, SCHEDULES), config.clone())
            .run(move || add_from_several_threads(fault));
    })
}

#[test]
fn nothing_is_lost_and_order_is_kept_in_every_schedule() {
    assert_eq!(try_schedules(Fault::None), Ok(()));
}

#[test]
fn a_lost_wake_up_is_caught() {
    assert!(try_schedules(Fault::Sleeps).is_err());
}

#[test]
fn a_batch_that_overtakes_another_is_caught() {
    assert!(try_schedules(Fault::Overtakes).is_err());
}

#[test]
fn what_is_ready_while_the_connection_writes_goes_together() {
    let run = || {
        let (taken, writes) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Semaphore::new(0)));
        let outlet =
            Connection { taken: taken.clone(), most: 1 << 20, fault: Fault::None, writes: Some(writes.clone()) };
        let writer = BatchWriter::new(outlet, BatchKind::Answers, SessionId([1; 16]), key());
        let add = |number| {
            let answer = Answer::Result(Bytes::new());
            writer.add(answer.size(), Company::More, |to| answer.write(number, to)).expect("there is room");
        };
        add(0);
        assert_eq!(future::block_on(batches(&taken, 1)).len(), 1);
        (1..=10).for_each(add);
        writes.add_permits(1);
        let left = future::block_on(batches(&taken, 2));
        assert_eq!(entries(&left[1..]), (1..=10).collect::<Vec<_>>());
    };
    shuttle::check_random(run, 100);
}

/// Waits until so many batches left.
async fn batches(taken: &Mutex<Vec<Bytes>>, count: usize) -> Vec<Bytes> {
    loop {
        let left = taken.lock().expect("nobody panics").clone();
        if left.len() >= count {
            return left;
        }
        future::yield_now().await;
    }
}
