//! The tables of the database and the keys of their rows.
//!
//! Everything is bytes. Invariant: no key space reaches into another, because its length stands before it.

use redb::{Table, TableDefinition, WriteTransaction};

use crate::error::Fault;

type Bytes = &'static [u8];

/// Space and key → record.
pub const RECORDS: TableDefinition<Bytes, Bytes> = TableDefinition::new("records");
/// Id and position → member of a list; id and member → nothing, for a set.
pub const MEMBERS: TableDefinition<Bytes, Bytes> = TableDefinition::new("members");
/// Time and the key of a record → nothing.
pub const EXPIRIES: TableDefinition<Bytes, ()> = TableDefinition::new("expiries");
/// Ids of lists and sets whose members are still to be removed.
pub const GARBAGE: TableDefinition<u64, ()> = TableDefinition::new("garbage");
/// Space → bytes used.
pub const USED: TableDefinition<Bytes, u64> = TableDefinition::new("used");
/// Counters of the database.
pub const COUNTERS: TableDefinition<&'static str, u64> = TableDefinition::new("counters");

/// What every row costs beside its bytes.
const ROW: u64 = 64;

/// What a row of so many bytes counts for in the quota of its space.
pub fn cost(bytes: usize) -> u64 {
    ROW + bytes as u64
}

/// The tables of one transaction that writes.
pub struct Tables<'txn> {
    pub records: Table<'txn, Bytes, Bytes>,
    pub members: Table<'txn, Bytes, Bytes>,
    pub expiries: Table<'txn, Bytes, ()>,
    pub garbage: Table<'txn, u64, ()>,
    pub used: Table<'txn, Bytes, u64>,
    pub counters: Table<'txn, &'static str, u64>,
}

impl<'txn> Tables<'txn> {
    /// Opens them; those that are missing are made.
    pub fn open(transaction: &'txn WriteTransaction) -> Result<Self, Fault> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            members: transaction.open_table(MEMBERS)?,
            expiries: transaction.open_table(EXPIRIES)?,
            garbage: transaction.open_table(GARBAGE)?,
            used: transaction.open_table(USED)?,
            counters: transaction.open_table(COUNTERS)?,
        })
    }
}

/// Where the records of a space begin.
pub fn space_prefix(space: &str) -> Vec<u8> {
    // A space is a few hundred bytes at most, see `settings`.
    let length = u16::try_from(space.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), space.as_bytes()].concat()
}

/// Where the record of a key is.
pub fn record_key(space: &str, key: &str) -> Vec<u8> {
    let mut row = space_prefix(space);
    row.extend_from_slice(key.as_bytes());
    row
}

/// The space a record is in.
pub fn space_of(record_key: &[u8]) -> Option<&[u8]> {
    let (length, rest) = record_key.split_first_chunk()?;
    rest.get(..u16::from_be_bytes(*length).into())
}

/// Where the member of a list or set is: `rest` is its position in a list, itself in a set.
pub fn member_key(id: u64, rest: &[u8]) -> Vec<u8> {
    [&id.to_be_bytes(), rest].concat()
}

/// Where an expiry is noted.
pub fn expiry_key(expires: u64, record_key: &[u8]) -> Vec<u8> {
    [&expires.to_be_bytes(), record_key].concat()
}
