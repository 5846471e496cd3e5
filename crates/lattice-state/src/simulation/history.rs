//! What happened in a run, as far as somebody outside could know it: writes, their answers, conflicts that were said.
//!
//! From it follows what must be there in the end. Invariant judged here: every accepted write is the last one of its key, or
//! was overwritten by one that was not made before it, or stands in a conflict that was said.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use super::{broker::Change, statements};
use crate::{Bucket, store::Conflict};

/// Microseconds between two writes of which one is clearly the later, although messages take their time.
const CLEARLY: u64 = 5_000_000;

/// The history of a run. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct History(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    writes: Vec<Write>,
    conflicts: Vec<Said>,
    trace: Vec<(u64, String)>,
    tracing: bool,
}

/// A write that a host was asked for.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) host: usize,
    pub(super) bucket: Bucket,
    pub(super) key: String,
    pub(super) value: Option<Bytes>,
    began: u64,
    answered: Option<u64>,
    refused: bool,
    /// Whether the broker has had this value since.
    published: bool,
    /// When the broker last took it from this host: it was under way until then.
    sent_until: u64,
    /// What its host had there when it was made; none when another host had something waiting then.
    over: Option<Option<Bytes>>,
    /// Every place where it was is lost.
    excused: bool,
}

struct Said {
    at: u64,
    bucket: Bucket,
    key: String,
}

impl Write {
    /// Whether a disk of this host may hold it: before it was published, only that of the host that took it.
    pub(super) fn may_be_with(&self, host: usize) -> bool {
        self.published || self.host == host
    }

    fn is_of(&self, bucket: Bucket, key: &str) -> bool {
        self.bucket == bucket && self.key == key
    }

    fn has(&self, token: &str) -> bool {
        self.value.as_deref() == Some(token.as_bytes())
    }

    fn is_accepted(&self) -> bool {
        self.answered.is_some() && !self.refused
    }

    /// Whether it was over when another began.
    fn is_before(&self, other: &Self) -> bool {
        self.answered.is_some_and(|answered| answered.max(self.sent_until) < other.began)
    }
}

impl History {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Also keeps lines for people.
    pub(super) fn with_trace() -> Self {
        let history = Self::default();
        history.told().tracing = true;
        history
    }

    /// One more line for people.
    pub(super) fn note(&self, at: u64, line: impl FnOnce() -> String) {
        let mut told = self.told();
        if told.tracing {
            let line = line();
            told.trace.push((at, line));
        }
    }

    pub(super) fn trace(&self) -> Vec<String> {
        let told = self.told();
        told.trace.iter().map(|(at, line)| format!("{:>12.3} ms  {line}", *at as f64 / 1000.0)).collect()
    }

    /// A write begins; its number.
    pub(super) fn begin(&self, at: u64, host: usize, bucket: Bucket, key: &str, value: Option<Bytes>) -> usize {
        let mut told = self.told();
        let (key, answered) = (key.to_owned(), None);
        let write = Write {
            host,
            bucket,
            key,
            value,
            began: at,
            answered,
            refused: false,
            published: false,
            sent_until: 0,
            over: None,
            excused: false,
        };
        told.writes.push(write);
        told.writes.len() - 1
    }

    /// A write was made knowing what was there.
    pub(super) fn over(&self, number: usize, value: Option<Bytes>) {
        self.told().writes[number].over = Some(value);
    }

    /// The broker has the value of a write already.
    pub(super) fn published(&self, number: usize) {
        self.told().writes[number].published = true;
    }

    /// A write was answered.
    pub(super) fn answer(&self, at: u64, number: usize, accepted: bool) {
        let mut told = self.told();
        let write = &mut told.writes[number];
        (write.answered, write.refused) = (Some(at), !accepted);
    }

    /// The broker made a change that a host asked for.
    pub(super) fn applied(&self, at: u64, host: usize, bucket: Bucket, key: &str, change: &Change) {
        let value = match change {
            Change::Put(value) => Some(value),
            Change::Replace(value, _) => value.as_ref(),
            Change::Delete => None,
        };
        {
            let mut told = self.told();
            // Whoever asked for it: of two equal values nobody can tell whose it is.
            let same = |write: &&mut Write| write.is_of(bucket, key) && write.value.as_ref() == value;
            for write in told.writes.iter_mut().filter(same) {
                write.published = true;
                if write.host == host && matches!(change, Change::Put(_) | Change::Delete) {
                    write.sent_until = at;
                }
            }
        }
        self.note(at, || format!("broker: host {host} {} {}", short(key), change.shown()));
    }

    /// Somebody said that a write lost.
    pub(super) fn conflict(&self, at: u64, host: usize, conflict: &Conflict) {
        let Conflict { bucket, key, kept } = conflict;
        self.told().conflicts.push(Said { at, bucket: *bucket, key: key.clone() });
        self.note(at, || format!("host {host}: conflict over {}, kept {kept:?}", short(key)));
    }

    /// The keys and values of accepted writes, to see which of them are held anywhere.
    pub(super) fn accepted(&self) -> Vec<(usize, Write)> {
        let told = self.told();
        told.writes.iter().cloned().enumerate().filter(|(_, write)| write.is_accepted()).collect()
    }

    /// Of these writes nothing is left anywhere: that is nobody's fault.
    pub(super) fn excuse(&self, numbers: impl IntoIterator<Item = usize>) {
        let mut told = self.told();
        numbers.into_iter().for_each(|number| told.writes[number].excused = true);
    }

    /// How many conflicts were said.
    pub(super) fn conflicts(&self) -> usize {
        self.told().conflicts.len()
    }

    /// How long the longest write waited for its answer.
    pub(super) fn longest_wait(&self) -> u64 {
        let told = self.told();
        told.writes.iter().filter_map(|write| Some(write.answered? - write.began)).max().unwrap_or_default()
    }

    /// Accepted writes that are lost although nobody said so, given what every host holds in the end.
    pub(super) fn lost(&self, last: &BTreeMap<(Bucket, String), Bytes>) -> Vec<String> {
        let told = self.told();
        let mut lost = Vec::new();
        let judged = |write: &Write| write.bucket != Bucket::Revocations && write.is_accepted() && !write.excused;
        for (number, write) in told.writes.iter().enumerate().filter(|(_, write)| judged(write)) {
            let stands = last.get(&(write.bucket, write.key.clone()));
            if stands == write.value.as_ref() || told.explains(number, stands) {
                continue;
            }
            lost.push(format!(
                "what host {} wrote to {} at {:.3} ms, {}, is lost and nobody said so; it is now {}",
                write.host,
                short(&write.key),
                write.began as f64 / 1000.0,
                shown(write.value.as_ref()),
                shown(stands),
            ));
        }
        lost
    }
}

impl History {
    /// A signed statement that was taken and is neither in force in the end nor replaced by one that counts more.
    pub(super) fn statement_lost(&self, last: &BTreeMap<(Bucket, String), Bytes>) -> Option<String> {
        let told = self.told();
        let of = |write: &Write| {
            statements::all().iter().find(|statement| statement.key() == write.key && write.has(statement.token()))
        };
        let judged = told
            .writes
            .iter()
            .filter(|write| write.bucket == Bucket::Revocations && write.is_accepted() && !write.excused);
        let mut lost = judged.filter(|write| {
            let Some(statement) = of(write) else { return false };
            let stands = last.get(&(write.bucket, write.key.clone())) == write.value.as_ref();
            let asked = told.writes.iter().filter(|other| other.bucket == Bucket::Revocations).filter_map(of);
            !stands && !asked.into_iter().any(|other| statement.yields_to(other))
        });
        lost.next()
            .map(|write| format!("a signed statement that host {} took is lost: {}", write.host, short(&write.key)))
    }

    /// An accepted write that has lost against one that was made clearly before it.
    pub(super) fn older_won(&self, last: &BTreeMap<(Bucket, String), Bytes>) -> Option<String> {
        let told = self.told();
        let judged = told.writes.iter().filter(|write| write.bucket != Bucket::Revocations && write.is_accepted());
        let mut lost = judged.filter(|write| {
            let stands = last.get(&(write.bucket, write.key.clone()));
            let mut of_it = told
                .writes
                .iter()
                .filter(|other| other.is_of(write.bucket, &write.key) && other.value.as_ref() == stands);
            let older = |other: &Write| other.answered.is_some_and(|answered| answered + CLEARLY < write.began);
            stands != write.value.as_ref() && of_it.all(older)
        });
        lost.next().map(|write| {
            format!(
                "what host {} wrote to {} at {} ms lost against an older write",
                write.host,
                short(&write.key),
                write.began / 1_000
            )
        })
    }
}

impl History {
    /// An accepted write, the last of its key and the only one of its value, that was undone by what it replaced: there is no conflict, whatever was said.
    /// Judged where a key had no more than so many other writes.
    pub(super) fn undone(&self, last: &BTreeMap<(Bucket, String), Bytes>, most_others: usize) -> Option<String> {
        let told = self.told();
        let mut undone = told.writes.iter().enumerate().filter(|(number, write)| {
            let stands = last.get(&(write.bucket, write.key.clone()));
            // Of a deletion that is back nobody can tell whether it was made anew.
            let is_back = write.over.as_ref().is_some_and(|over| over.is_some() && over.as_ref() == stands);
            let others = || told.writes.iter().enumerate().filter(|(other, _)| other != number);
            let of_key: Vec<&Write> = others()
                .map(|(_, other)| other)
                .filter(|other| other.is_of(write.bucket, &write.key) && !other.refused)
                .collect();
            is_back
                && write.is_accepted()
                && !write.excused
                && stands != write.value.as_ref()
                && of_key.len() <= most_others
                && of_key.iter().filter(|other| other.value.as_ref() == stands).count() == 1
                && of_key.iter().all(|other| other.is_before(write) && !other.excused && other.value != write.value)
        });
        undone.next().map(|(_, write)| {
            let (host, key, at) = (write.host, short(&write.key), write.began / 1_000);
            format!("what host {host} wrote to {key} at {at} ms was undone by what it replaced")
        })
    }

    /// Deletions that nobody knows any more who had something waiting, because their markers are gone.
    pub(super) fn excuse_deletions(&self, bucket: Bucket) {
        let mut told = self.told();
        let waits: Vec<String> =
            told.writes.iter().filter(|write| !write.published).map(|write| write.key.clone()).collect();
        let deletion =
            |write: &&mut Write| write.bucket == bucket && write.value.is_none() && waits.contains(&write.key);
        told.writes.iter_mut().filter(deletion).for_each(|write| write.excused = true);
    }
}

impl Told {
    /// Whether it is right that another value stands in the place of a write.
    fn explains(&self, number: usize, stands: Option<&Bytes>) -> bool {
        let write = &self.writes[number];
        let said = |said: &Said| said.bucket == write.bucket && said.key == write.key && said.at >= write.began;
        if self.conflicts.iter().any(said) {
            return true;
        }
        let others = self.writes.iter().enumerate().filter(|(other, _)| *other != number);
        let mut others = others.filter(|(_, other)| other.is_of(write.bucket, &write.key) && !other.refused);
        others.any(|(place, other)| {
            // A host does what it is asked for in the order in which it was asked.
            let later_here = other.host == write.host && place > number;
            // What nobody else could see is not overwritten by anybody else.
            let later_there =
                write.published && !other.is_before(write) && (other.value.as_ref() == stands || other.excused);
            later_here || later_there
        })
    }
}

impl Change {
    fn shown(&self) -> String {
        match self {
            Self::Put(value) => format!("puts {}", shown(Some(value))),
            Self::Replace(value, last) => format!("replaces revision {last}: {}", shown(value.as_ref())),
            Self::Delete => "deletes".to_owned(),
        }
    }
}

/// A key as people can tell it from another.
pub(super) fn short(key: &str) -> String {
    key.chars().take(14).chain("…".chars()).chain(key.chars().skip(key.len().saturating_sub(6))).collect()
}

/// A value as people can tell it from another.
pub(super) fn shown(value: Option<&Bytes>) -> String {
    match value {
        None => "deleted".to_owned(),
        Some(value) if value.len() < 24 => String::from_utf8_lossy(value).into_owned(),
        Some(value) => {
            let text = String::from_utf8_lossy(value);
            let from = text.find("\"n\":").or_else(|| text.find("\"rev")).unwrap_or(0);
            text[from..].chars().take(24).collect()
        }
    }
}
