//! Operations that only look. They see the last state that is on disk, and never wait for one that writes.

use std::collections::BTreeSet;

use provider_sdk::contracts::{
    CallError,
    keyvalue::{Answer, ListKeysRequest, ListKeysResponse, ListRangeRequest, Request},
};
use redb::{ReadTransaction, ReadableTable};

use crate::{
    error::{Fault, reported},
    record::{Members, Record},
    settings::LinkSettings,
    tables::{MEMBERS, RECORDS, member_key, record_key, space_prefix},
};

type Bytes = &'static [u8];

/// One look at the store.
pub struct Look<R, M> {
    pub records: R,
    pub members: M,
    /// Milliseconds since 1970.
    pub now: u64,
    /// Largest answer in bytes.
    pub max_answer: u64,
}

/// Answers an operation that only looks; none when it writes.
pub fn answer(
    transaction: &ReadTransaction,
    now: u64,
    max_answer: u64,
    link: &LinkSettings,
    request: &Request,
) -> Result<Answer, Fault> {
    let (records, members) = (transaction.open_table(RECORDS)?, transaction.open_table(MEMBERS)?);
    let look = Look { records, members, now, max_answer };
    let space = &link.space;
    match request {
        Request::Get(key) => look.value(space, key).map(Answer::value),
        Request::Contains(key) => Ok(Answer::Bool(look.record(space, key)?.is_some())),
        Request::ListRange(request) => look.range(space, request).map(Answer::Texts),
        Request::SetQuery(name) => look.union(space, std::slice::from_ref(name)).map(Answer::Texts),
        Request::SetUnion(names) => look.union(space, names).map(Answer::Texts),
        Request::SetIntersection(names) => look.intersection(space, names).map(Answer::Texts),
        Request::ListKeys(request) => look.keys(space, request).map(Answer::Keys),
        _ => Err(Fault::Storage("an operation that writes came to the wrong place".to_owned())),
    }
}

/// Whether an operation only looks.
pub fn only_looks(request: &Request) -> bool {
    matches!(
        request,
        Request::Get(_)
            | Request::Contains(_)
            | Request::ListRange(_)
            | Request::SetQuery(_)
            | Request::SetUnion(_)
            | Request::SetIntersection(_)
            | Request::ListKeys(_)
    )
}

/// The error for a key that holds something else.
pub fn other_kind(key: &str, holds: &Record, wanted: &str) -> Fault {
    let key: String = key.chars().take(64).collect();
    reported(format!("`{key}` holds {}, not {wanted}", holds.kind()))
}

impl<R: ReadableTable<Bytes, Bytes>, M: ReadableTable<Bytes, Bytes>> Look<R, M> {
    /// What stands under a key and has not expired.
    pub fn record(&self, space: &str, key: &str) -> Result<Option<Record>, Fault> {
        let Some(stored) = self.records.get(record_key(space, key).as_slice())? else { return Ok(None) };
        Ok(Some(Record::decode(stored.value())?).filter(|record| !record.has_expired(self.now)))
    }

    fn value(&self, space: &str, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        match self.record(space, key)? {
            None => Ok(None),
            Some(Record::Value { bytes, .. }) => {
                self.fits(bytes.len() as u64)?;
                Ok(Some(bytes))
            }
            Some(other) => Err(other_kind(key, &other, "a value")),
        }
    }

    fn set(&self, space: &str, name: &str) -> Result<Option<Members>, Fault> {
        match self.record(space, name)? {
            None => Ok(None),
            Some(Record::Set(members)) => Ok(Some(members)),
            Some(other) => Err(other_kind(name, &other, "a set")),
        }
    }

    fn range(&self, space: &str, request: &ListRangeRequest) -> Result<Vec<String>, Fault> {
        let list = match self.record(space, &request.list_name)? {
            None => return Ok(Vec::new()),
            Some(Record::List(list)) => list,
            Some(other) => return Err(other_kind(&request.list_name, &other, "a list")),
        };
        let Some((skip, take)) = positions(request.start, request.stop, list.count) else { return Ok(Vec::new()) };
        let (mut found, mut size) = (Vec::new(), 0);
        for row in self.members.range(member_key(list.id, &[]).as_slice()..)?.skip(skip).take(take) {
            let member = text(row?.1.value());
            size += member.len() as u64;
            self.fits(size)?;
            found.push(member);
        }
        Ok(found)
    }

    fn union(&self, space: &str, names: &[String]) -> Result<Vec<String>, Fault> {
        let (mut found, mut size) = (BTreeSet::new(), 0);
        for name in names {
            let Some(set) = self.set(space, name)? else { continue };
            self.each(set, |member| {
                size += member.len() as u64;
                found.insert(member);
                self.fits(size)
            })?;
        }
        Ok(found.into_iter().collect())
    }

    fn intersection(&self, space: &str, names: &[String]) -> Result<Vec<String>, Fault> {
        let mut sets = Vec::new();
        for name in names {
            sets.push(self.set(space, name)?);
        }
        let Some(mut sets) = sets.into_iter().collect::<Option<Vec<Members>>>() else { return Ok(Vec::new()) };
        sets.sort_by_key(|set| set.count);
        let Some((&smallest, others)) = sets.split_first() else { return Ok(Vec::new()) };
        let (mut found, mut size) = (Vec::new(), 0);
        self.each(smallest, |member| {
            for other in others {
                if self.members.get(member_key(other.id, member.as_bytes()).as_slice())?.is_none() {
                    return Ok(());
                }
            }
            size += member.len() as u64;
            found.push(member);
            self.fits(size)
        })?;
        Ok(found)
    }

    fn each(&self, set: Members, mut visit: impl FnMut(String) -> Result<(), Fault>) -> Result<(), Fault> {
        let prefix = member_key(set.id, &[]);
        for row in self.members.range(prefix.as_slice()..)? {
            let row = row?;
            let Some(member) = row.0.value().strip_prefix(prefix.as_slice()) else { break };
            visit(text(member))?;
        }
        Ok(())
    }

    fn keys(&self, space: &str, request: &ListKeysRequest) -> Result<ListKeysResponse, Fault> {
        let prefix = space_prefix(space);
        let after = request.cursor.as_ref().map(|cursor| record_key(space, cursor));
        let (mut keys, mut size) = (Vec::<String>::new(), 0);
        for row in self.records.range(after.as_ref().unwrap_or(&prefix).as_slice()..)? {
            let row = row?;
            let Some(key) = row.0.value().strip_prefix(prefix.as_slice()) else { break };
            if after.as_deref() == Some(row.0.value()) || Record::decode(row.1.value())?.has_expired(self.now) {
                continue;
            }
            size += key.len() as u64;
            if keys.len() as u64 >= request.limit.into() || size > self.max_answer {
                let cursor = keys.last().cloned();
                return Ok(ListKeysResponse { keys, cursor });
            }
            keys.push(text(key));
        }
        Ok(ListKeysResponse { keys, cursor: None })
    }

    fn fits(&self, size: u64) -> Result<(), Fault> {
        if size <= self.max_answer {
            return Ok(());
        }
        let limit = format!("{} bytes in one answer of the store (`max_answer_bytes`)", self.max_answer);
        Err(CallError::LimitExceeded { limit }.into())
    }
}

/// How many to skip and to take, for positions that are both included and count from the end when they are negative.
fn positions(start: i32, stop: i32, count: u64) -> Option<(usize, usize)> {
    let count = i64::try_from(count).ok()?;
    let from_start = |position: i32| if position < 0 { i64::from(position) + count } else { position.into() };
    let (start, stop) = (from_start(start).max(0), from_start(stop).min(count - 1));
    let take = stop - start + 1;
    Some((usize::try_from(start).ok()?, usize::try_from(take).ok()?)).filter(|(_, take)| *take > 0)
}

/// What was stored was text.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
