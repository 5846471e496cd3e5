//! Operations that change something.
//!
//! Invariant: an operation that ends with [`Fault::Call`] has changed nothing but to remove what had expired anyway.

use provider_sdk::contracts::{
    CallError,
    keyvalue::{
        Answer, CompareAndSwapRequest, CompareAndSwapResponse, IncrementRequest, ListValue, Request, SetRequest,
        SetValue,
    },
};
use redb::ReadableTable as _;

use crate::{
    error::{Fault, reported},
    read::other_kind,
    record::{Members, Record},
    settings::LinkSettings,
    tables::{Tables, cost, expiry_key, member_key, record_key, space_of},
};

/// One operation within a transaction.
pub struct Change<'a, 'txn> {
    pub tables: &'a mut Tables<'txn>,
    pub link: &'a LinkSettings,
    /// Milliseconds since 1970.
    pub now: u64,
}

impl Change<'_, '_> {
    /// Carries an operation out.
    pub fn apply(&mut self, request: Request) -> Result<Answer, Fault> {
        match request {
            Request::Set(request) => self.set(request).map(|()| Answer::Nothing(())),
            Request::Del(key) | Request::ListClear(key) | Request::SetClear(key) => {
                let row = self.row(&key);
                let found = self.record(&row)?;
                found.as_ref().map_or(Ok(()), |found| self.tables.forget(&row, found))?;
                Ok(Answer::Bool(found.is_some()))
            }
            Request::Increment(request) => self.increment(&request).map(Answer::Number),
            Request::ListAdd(request) => self.list_add(&request).map(Answer::count),
            Request::ListDel(request) => self.list_del(&request).map(Answer::Bool),
            Request::SetAdd(request) => self.set_add(&request).map(Answer::count),
            Request::SetDel(request) => self.set_del(&request).map(Answer::count),
            Request::CompareAndSwap(request) => self.swap(request).map(Answer::Swapped),
            _ => Err(Fault::Storage("an operation that only looks came to the wrong place".to_owned())),
        }
    }

    fn row(&self, key: &str) -> Vec<u8> {
        record_key(&self.link.space, key)
    }

    /// What stands in a row; what has expired is removed on the way.
    fn record(&mut self, row: &[u8]) -> Result<Option<Record>, Fault> {
        let Some(found) = self.tables.records.get(row)?.map(|stored| Record::decode(stored.value())).transpose()?
        else {
            return Ok(None);
        };
        if found.has_expired(self.now) {
            self.tables.forget(row, &found)?;
            return Ok(None);
        }
        Ok(Some(found))
    }

    /// Room for so many bytes more, or fewer.
    fn make_room(&mut self, more: u64, fewer: u64) -> Result<(), Fault> {
        let used = self.tables.used_by(self.link.space.as_bytes())?;
        let wanted = used.saturating_add(more).saturating_sub(fewer);
        if wanted > self.link.quota && more > fewer {
            let limit = format!("{} bytes of the key space (link value `quota_bytes`)", self.link.quota);
            return Err(CallError::LimitExceeded { limit }.into());
        }
        self.tables.set_used(self.link.space.as_bytes(), wanted)
    }

    fn set(&mut self, SetRequest { key, value, expires }: SetRequest) -> Result<(), Fault> {
        let row = self.row(&key);
        let before = self.record(&row)?;
        let expires = if expires == 0 { 0 } else { self.now.saturating_add(u64::from(expires) * 1000) };
        self.put_value(&row, before.as_ref(), value.0, expires)
    }

    /// Puts a value in the place of whatever is in a row.
    fn put_value(&mut self, row: &[u8], before: Option<&Record>, bytes: Vec<u8>, expires: u64) -> Result<(), Fault> {
        let freed = before.map_or(0, |before| record_cost(row, before));
        let record = Record::Value { expires, bytes };
        self.make_room(record_cost(row, &record), freed)?;
        if let Some(before) = before {
            self.tables.unhook(row, before)?;
        }
        if expires != 0 {
            self.tables.expiries.insert(expiry_key(expires, row).as_slice(), ())?;
        }
        self.tables.records.insert(row, record.encode().as_slice())?;
        Ok(())
    }

    fn increment(&mut self, request: &IncrementRequest) -> Result<i64, Fault> {
        let row = self.row(&request.key);
        let before = self.record(&row)?;
        let (number, expires) = match &before {
            None => (0, 0),
            Some(Record::Value { bytes, expires }) => {
                (decimal(bytes).ok_or_else(|| not_a_number(&request.key))?, *expires)
            }
            Some(other) => return Err(other_kind(&request.key, other, "a number")),
        };
        let number = number.checked_add(request.value).ok_or_else(|| reported("the number would leave 64 bits"))?;
        self.put_value(&row, before.as_ref(), number.to_string().into_bytes(), expires)?;
        Ok(number)
    }

    fn swap(&mut self, request: CompareAndSwapRequest) -> Result<CompareAndSwapResponse, Fault> {
        let row = self.row(&request.key);
        let before = self.record(&row)?;
        let (current, expires) = match &before {
            None => (None, 0),
            Some(Record::Value { bytes, expires }) => (Some(bytes.clone()), *expires),
            Some(other) => return Err(other_kind(&request.key, other, "a value")),
        };
        if current != request.expected.map(|expected| expected.0) {
            return Ok(CompareAndSwapResponse { swapped: false, current: current.map(Into::into) });
        }
        self.put_value(&row, before.as_ref(), request.value.0.clone(), expires)?;
        Ok(CompareAndSwapResponse { swapped: true, current: Some(request.value) })
    }

    fn list(&mut self, name: &str, row: &[u8]) -> Result<Option<Members>, Fault> {
        match self.record(row)? {
            None => Ok(None),
            Some(Record::List(list)) => Ok(Some(list)),
            Some(other) => Err(other_kind(name, &other, "a list")),
        }
    }

    fn members_of_set(&mut self, name: &str, row: &[u8]) -> Result<Option<Members>, Fault> {
        match self.record(row)? {
            None => Ok(None),
            Some(Record::Set(set)) => Ok(Some(set)),
            Some(other) => Err(other_kind(name, &other, "a set")),
        }
    }

    fn list_add(&mut self, ListValue { list_name, value }: &ListValue) -> Result<u64, Fault> {
        let row = self.row(list_name);
        let before = self.list(list_name, &row)?;
        let mut list = self.with_room(&row, before, value.len())?;
        self.tables.members.insert(member_key(list.id, &list.next.to_be_bytes()).as_slice(), value.as_bytes())?;
        list.next += 1;
        self.tables.records.insert(row.as_slice(), Record::List(list).encode().as_slice())?;
        Ok(list.count)
    }

    fn list_del(&mut self, ListValue { list_name, value }: &ListValue) -> Result<bool, Fault> {
        let row = self.row(list_name);
        let Some(list) = self.list(list_name, &row)? else { return Ok(false) };
        let prefix = member_key(list.id, &[]);
        let mut found = None;
        for member in self.tables.members.range(prefix.as_slice()..)? {
            let member = member?;
            if !member.0.value().starts_with(&prefix) {
                break;
            }
            if member.1.value() == value.as_bytes() {
                found = Some(member.0.value().to_vec());
                break;
            }
        }
        let Some(found) = found else { return Ok(false) };
        self.tables.members.remove(found.as_slice())?;
        self.shrink(&row, list, value.len(), Record::List)?;
        Ok(true)
    }

    fn set_add(&mut self, SetValue { set_name, value }: &SetValue) -> Result<u64, Fault> {
        let row = self.row(set_name);
        let before = self.members_of_set(set_name, &row)?;
        if let Some(set) = &before
            && self.tables.members.get(member_key(set.id, value.as_bytes()).as_slice())?.is_some()
        {
            return Ok(0);
        }
        let set = self.with_room(&row, before, value.len())?;
        self.tables.members.insert(member_key(set.id, value.as_bytes()).as_slice(), &[][..])?;
        self.tables.records.insert(row.as_slice(), Record::Set(set).encode().as_slice())?;
        Ok(1)
    }

    fn set_del(&mut self, SetValue { set_name, value }: &SetValue) -> Result<u64, Fault> {
        let row = self.row(set_name);
        let Some(set) = self.members_of_set(set_name, &row)? else { return Ok(0) };
        if self.tables.members.remove(member_key(set.id, value.as_bytes()).as_slice())?.is_none() {
            return Ok(0);
        }
        self.shrink(&row, set, value.len(), Record::Set)?;
        Ok(1)
    }

    /// The members with one more, counted; new ones when there were none.
    fn with_room(&mut self, row: &[u8], before: Option<Members>, size: usize) -> Result<Members, Fault> {
        let head = if before.is_none() { cost(row.len()) } else { 0 };
        self.make_room(cost(size) + head, 0)?;
        let mut members = match before {
            Some(members) => members,
            None => Members { id: self.tables.next_id()?, ..Members::default() },
        };
        members.count += 1;
        members.bytes += cost(size);
        Ok(members)
    }

    /// Counts one member less; the last one takes the record along.
    fn shrink(
        &mut self,
        row: &[u8],
        mut members: Members,
        size: usize,
        record: fn(Members) -> Record,
    ) -> Result<(), Fault> {
        members.count -= 1;
        members.bytes = members.bytes.saturating_sub(cost(size));
        if members.count == 0 {
            self.make_room(0, cost(size) + cost(row.len()))?;
            self.tables.records.remove(row)?;
            return Ok(());
        }
        self.make_room(0, cost(size))?;
        self.tables.records.insert(row, record(members).encode().as_slice())?;
        Ok(())
    }
}

impl Tables<'_> {
    /// Removes a record with everything that belongs to it, and gives its bytes back.
    pub fn forget(&mut self, row: &[u8], record: &Record) -> Result<(), Fault> {
        let space =
            space_of(row).ok_or_else(|| Fault::Storage("a key of the database is damaged".to_owned()))?.to_vec();
        let used = self.used_by(&space)?.saturating_sub(record_cost(row, record));
        self.set_used(&space, used)?;
        self.unhook(row, record)?;
        self.records.remove(row)?;
        Ok(())
    }

    /// Removes what hangs on a record: its expiry, or its members, which the sweeper takes away bit by bit.
    fn unhook(&mut self, row: &[u8], record: &Record) -> Result<(), Fault> {
        match record {
            Record::Value { expires: 0, .. } => {}
            Record::Value { expires, .. } => {
                self.expiries.remove(expiry_key(*expires, row).as_slice())?;
            }
            Record::List(members) | Record::Set(members) => {
                self.garbage.insert(members.id, ())?;
            }
        }
        Ok(())
    }

    fn used_by(&self, space: &[u8]) -> Result<u64, Fault> {
        Ok(self.used.get(space)?.map_or(0, |used| used.value()))
    }

    fn set_used(&mut self, space: &[u8], used: u64) -> Result<(), Fault> {
        if used == 0 {
            self.used.remove(space)?;
        } else {
            self.used.insert(space, used)?;
        }
        Ok(())
    }

    fn next_id(&mut self) -> Result<u64, Fault> {
        let id = self.counters.get("next id")?.map_or(0, |next| next.value());
        self.counters.insert("next id", id + 1)?;
        Ok(id)
    }
}

fn record_cost(row: &[u8], record: &Record) -> u64 {
    match record {
        Record::Value { bytes, .. } => cost(row.len() + bytes.len()),
        Record::List(members) | Record::Set(members) => cost(row.len()) + members.bytes,
    }
}

/// A number as increments write it; nothing else counts as one.
fn decimal(bytes: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == bytes).then_some(number)
}

fn not_a_number(key: &str) -> Fault {
    let key: String = key.chars().take(64).collect();
    reported(format!("`{key}` does not hold a whole number of 64 bits"))
}
