//! Taking away what has expired, and members of lists and sets that are gone.
//!
//! A bounded piece at a time, so that callers wait for no more than that.

use redb::ReadableTable as _;

use crate::{error::Fault, record::Record, tables::Tables};

/// Most rows that one sweep removes.
pub const AT_ONCE: usize = 500;

/// What a sweep found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swept {
    /// There is more to remove now.
    More,
    /// Nothing to do before this time (milliseconds since 1970), if ever.
    Until(Option<u64>),
}

/// Removes a piece.
pub fn sweep(tables: &mut Tables<'_>, now: u64) -> Result<Swept, Fault> {
    let left = expired(tables, now, AT_ONCE)?;
    let left = garbage(tables, left)?;
    if left == 0 {
        return Ok(Swept::More);
    }
    let next = tables.expiries.first()?.and_then(|row| time_of(row.0.value()));
    Ok(Swept::Until(next))
}

/// How many more may be removed.
fn expired(tables: &mut Tables<'_>, now: u64, limit: usize) -> Result<usize, Fault> {
    let mut due = Vec::new();
    for row in tables.expiries.iter()?.take(limit) {
        let row = row?;
        let key = row.0.value();
        if time_of(key).is_none_or(|time| time > now) {
            break;
        }
        due.push(key.to_vec());
    }
    for key in &due {
        let row = key.get(8..).unwrap_or_default();
        let record = tables.records.get(row)?.map(|stored| Record::decode(stored.value())).transpose()?;
        match record.filter(|record| record.has_expired(now)) {
            Some(record) => tables.forget(row, &record)?,
            // The value was put again with another expiry, and this note was left behind.
            None => drop(tables.expiries.remove(key.as_slice())?),
        }
    }
    Ok(limit - due.len())
}

fn garbage(tables: &mut Tables<'_>, mut limit: usize) -> Result<usize, Fault> {
    while limit > 0 {
        let Some(id) = tables.garbage.first()?.map(|row| row.0.value()) else { break };
        let prefix = id.to_be_bytes();
        let mut rows = Vec::new();
        for row in tables.members.range(prefix.as_slice()..)?.take(limit) {
            let row = row?;
            if !row.0.value().starts_with(&prefix) {
                break;
            }
            rows.push(row.0.value().to_vec());
        }
        for row in &rows {
            tables.members.remove(row.as_slice())?;
        }
        if rows.len() < limit {
            tables.garbage.remove(id)?;
        }
        limit = limit.saturating_sub(rows.len().max(1));
    }
    Ok(limit)
}

fn time_of(expiry_key: &[u8]) -> Option<u64> {
    expiry_key.first_chunk().map(|time| u64::from_be_bytes(*time))
}
