//! Calls of one actor, by contract, operation and outcome.
//!
//! Operations are words of guests, so there is a bound: an operation beyond the [`ROWS`] of an actor, or one that is no
//! word, is counted as [`OTHER`]. Invariant: counting a call takes no lock and, once its row is there, no memory.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use contracts::CallError;

use super::histogram::{CALL_BOUNDS, Histogram};

/// Pairs of contract and operation that one actor has a row for.
pub const ROWS: usize = 32;

/// Where everything is counted that has no row of its own.
pub const OTHER: &str = "other";

/// What stands for a contract where actors call each other.
pub const BETWEEN_ACTORS: &str = "actor";

/// Longest word that gets a row, bytes.
const LONGEST: usize = 96;

/// Every outcome: an answer, each code of [`CallError`], a caller that went, a code of another host that is not ours.
const OUTCOMES: [&str; 20] = [
    "ok",
    "not_granted",
    "not_linked",
    "unknown_actor",
    "not_running",
    "busy",
    "deadline_exceeded",
    "trap",
    "limit_exceeded",
    "reported",
    "unsupported",
    "malformed",
    "unauthorized",
    "policy_denied",
    "policy_unanswered",
    "nats_forbidden",
    "unreachable",
    "host_fault",
    "cancelled",
    OTHER,
];
const OK: usize = 0;
const CANCELLED: usize = OUTCOMES.len() - 2;

/// The calls one actor gets, or those it makes.
#[derive(Debug)]
pub struct CallMeter {
    rows: Box<[OnceLock<Box<Row>>]>,
    others: Row,
    /// How long they took, failures included.
    pub duration: Histogram,
}

#[derive(Debug)]
struct Row {
    contract: Box<str>,
    operation: Box<str>,
    counts: [AtomicU64; OUTCOMES.len()],
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted<'a> {
    /// Contract, [`BETWEEN_ACTORS`] or [`OTHER`].
    pub contract: &'a str,
    /// Operation or [`OTHER`].
    pub operation: &'a str,
    /// `ok`, a code, `cancelled` or [`OTHER`].
    pub outcome: &'static str,
    /// How many.
    pub count: u64,
}

/// A call under way. Dropped without an end, it was abandoned by its caller.
#[must_use = "a call that is not ended counts as cancelled"]
pub struct Measured<'a> {
    row: &'a Row,
    duration: &'a Histogram,
    began: Instant,
    outcome: usize,
}

impl Default for CallMeter {
    fn default() -> Self {
        Self {
            rows: (0..ROWS).map(|_| OnceLock::new()).collect(),
            others: Row::new(OTHER, OTHER),
            duration: Histogram::new(CALL_BOUNDS),
        }
    }
}

impl CallMeter {
    /// A call begins.
    pub fn begin(&self, contract: &str, operation: &str) -> Measured<'_> {
        let row = self.row(contract, operation);
        Measured { row, duration: &self.duration, began: Instant::now(), outcome: CANCELLED }
    }

    /// A call that was refused before it began.
    pub fn refused(&self, contract: &str, operation: &str, error: &CallError) {
        self.row(contract, operation).count(outcome(error));
    }

    /// What a call is counted under: its contract and operation, or [`OTHER`] for both.
    pub fn words(&self, contract: &str, operation: &str) -> (&str, &str) {
        let row = self.row(contract, operation);
        (&row.contract, &row.operation)
    }

    /// The place of an outcome, for [`CallMeter::count`].
    #[must_use]
    pub fn outcome_of(outcome: Result<(), &CallError>) -> usize {
        outcome_of(outcome)
    }

    /// Everything counted so far.
    #[must_use]
    pub fn counted(&self) -> Vec<Counted<'_>> {
        let rows = self.rows.iter().map_while(OnceLock::get).map(Box::as_ref);
        rows.chain([&self.others]).flat_map(Row::counted).collect()
    }

    fn row(&self, contract: &str, operation: &str) -> &Row {
        self.at(self.index(contract, operation))
    }

    /// Where such calls are counted.
    #[must_use]
    pub fn index(&self, contract: &str, operation: &str) -> usize {
        for (index, slot) in self.rows.iter().enumerate() {
            let row = match slot.get() {
                Some(row) => row,
                None if is_word(contract) && is_word(operation) => {
                    slot.get_or_init(|| Box::new(Row::new(contract, operation)))
                }
                None => return ROWS,
            };
            if *row.operation == *operation && *row.contract == *contract {
                return index;
            }
        }
        ROWS
    }

    fn at(&self, index: usize) -> &Row {
        self.rows.get(index).and_then(OnceLock::get).map_or(&self.others, Box::as_ref)
    }

    /// Counts a call in the row of [`CallMeter::index`]; without an outcome its caller went.
    pub fn count(&self, index: usize, outcome: Option<usize>, took: Duration) {
        self.at(index).count(outcome.unwrap_or(CANCELLED));
        self.duration.record(took);
    }
}

impl Row {
    fn new(contract: &str, operation: &str) -> Self {
        Self { contract: contract.into(), operation: operation.into(), counts: Default::default() }
    }

    fn count(&self, outcome: usize) {
        self.counts[outcome].fetch_add(1, Ordering::Relaxed);
    }

    fn counted(&self) -> impl Iterator<Item = Counted<'_>> {
        let (contract, operation) = (&*self.contract, &*self.operation);
        let row = move |(outcome, count): (&&'static str, &AtomicU64)| {
            let count = count.load(Ordering::Relaxed);
            (count > 0).then_some(Counted { contract, operation, outcome, count })
        };
        OUTCOMES.iter().zip(&self.counts).filter_map(row)
    }
}

impl<'a> Measured<'a> {
    /// Its operation, or [`OTHER`].
    #[must_use]
    pub fn operation(&self) -> &'a str {
        &self.row.operation
    }

    /// The call ended.
    pub fn end<T>(mut self, result: &Result<T, CallError>) {
        self.outcome = result.as_ref().map_or_else(outcome, |_| OK);
    }
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        self.row.count(self.outcome);
        self.duration.record(self.began.elapsed());
    }
}

/// The place of an outcome.
pub(super) fn outcome_of(outcome: Result<(), &CallError>) -> usize {
    outcome.map_or_else(self::outcome, |()| OK)
}

fn outcome(error: &CallError) -> usize {
    let code = error.code();
    OUTCOMES.iter().position(|outcome| *outcome == code).unwrap_or(OUTCOMES.len() - 1)
}

/// Contracts and operations as people write them: `wasmcloud:keyvalue`, `KeyValue.Get`, `ns:pkg/iface.func`.
fn is_word(text: &str) -> bool {
    let may = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/-@".contains(&byte);
    !text.is_empty() && text.len() <= LONGEST && text.bytes().all(may)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<'a>(contract: &'a str, operation: &'a str, outcome: &'static str, count: u64) -> Counted<'a> {
        Counted { contract, operation, outcome, count }
    }

    #[test]
    fn calls_are_counted_by_what_they_are_and_how_they_end() {
        let meter = CallMeter::default();
        for _ in 0..2 {
            meter.begin("wasmcloud:keyvalue", "KeyValue.Get").end(&Ok(()));
        }
        meter.begin("wasmcloud:keyvalue", "KeyValue.Set").end::<()>(&Err(CallError::Trap { message: "x".into() }));
        drop(meter.begin(BETWEEN_ACTORS, "Work"));
        meter.refused(BETWEEN_ACTORS, "Work", &CallError::UnknownActor { name: "x".into() });
        let expected = [
            row("wasmcloud:keyvalue", "KeyValue.Get", "ok", 2),
            row("wasmcloud:keyvalue", "KeyValue.Set", "trap", 1),
            row(BETWEEN_ACTORS, "Work", "unknown_actor", 1),
            row(BETWEEN_ACTORS, "Work", "cancelled", 1),
        ];
        assert_eq!(meter.counted(), expected);
        assert_eq!(meter.duration.snapshot().count, 4, "a refusal takes no time");
    }

    #[test]
    fn what_guests_invent_does_not_grow_the_table() {
        let meter = CallMeter::default();
        for number in 0..ROWS + 10 {
            meter.begin(BETWEEN_ACTORS, &format!("Operation{number}")).end(&Ok(()));
        }
        meter.begin(BETWEEN_ACTORS, "Operation0").end(&Ok(()));
        let counted = meter.counted();
        assert_eq!(counted.len(), ROWS + 1);
        assert_eq!(counted[0], row(BETWEEN_ACTORS, "Operation0", "ok", 2));
        assert_eq!(counted[ROWS], row(OTHER, OTHER, "ok", 10));
    }

    #[test]
    fn what_is_no_word_gets_no_row() {
        let meter = CallMeter::default();
        let long = "x".repeat(LONGEST + 1);
        for operation in ["", "a b", "a\n", "\"", "ä", &long] {
            meter.begin(BETWEEN_ACTORS, operation).end(&Ok(()));
        }
        assert_eq!(meter.counted(), [row(OTHER, OTHER, "ok", 6)]);
    }

    #[test]
    fn a_code_of_another_host_is_its_own_outcome_only_when_it_is_ours() {
        let meter = CallMeter::default();
        for code in ["busy", "invented"] {
            meter.refused(OTHER, OTHER, &CallError::Remote { code: code.into(), message: String::new() });
        }
        assert_eq!(meter.counted(), [row(OTHER, OTHER, "busy", 1), row(OTHER, OTHER, OTHER, 1)]);
        assert_eq!(OUTCOMES[CANCELLED], "cancelled");
    }

    #[test]
    fn many_threads_count_every_call() {
        let meter = CallMeter::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|n| meter.begin("c", &format!("o{}", n % 8)).end(&Ok(()))));
            }
        });
        let counted = meter.counted();
        assert_eq!((counted.len(), counted.iter().map(|row| row.count).sum::<u64>()), (8, 4000));
    }
}
