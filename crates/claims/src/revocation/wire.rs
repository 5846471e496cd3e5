//! The `wascap` member of a revocation token.
//!
//! `{"number":1,"revocations":[{"issuer":"A…","reason":"…","since":1700000000}]}`: one member of an entry says what is
//! revoked and is named by its kind. Invariant: no more than [`MAX_ENTRIES`] entries are kept of what a stranger wrote.

use std::fmt;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::entry::{Entry, MAX_ENTRIES, Revoked};
use super::error::RevocationError;

/// The member as it is written.
#[derive(Serialize)]
pub(super) struct Written<'a> {
    pub(super) number: u64,
    pub(super) revocations: &'a [Entry],
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(self.revoked.kind(), &self.revoked.to_string())?;
        if let Some(reason) = &self.reason {
            map.serialize_entry("reason", reason)?;
        }
        map.serialize_entry("since", &self.since)?;
        map.end()
    }
}

/// The member as it is read.
#[derive(Deserialize)]
pub(super) struct Read {
    pub(super) number: u64,
    revocations: Entries,
}

impl Read {
    pub(super) fn entries(self) -> Result<Vec<Entry>, RevocationError> {
        let Entries { kept, found } = self.revocations;
        if found > MAX_ENTRIES {
            return Err(RevocationError::TooManyEntries { found, limit: MAX_ENTRIES });
        }
        kept.into_iter().enumerate().map(|(index, entry)| entry.parse(index)).collect()
    }
}

/// The first entries, and how many there were.
struct Entries {
    kept: Vec<EntryRead>,
    found: usize,
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of revocations")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Entries, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < MAX_ENTRIES {
            let Some(entry) = list.next_element()? else { return Ok(Entries { found: kept.len(), kept }) };
            kept.push(entry);
        }
        let mut found = kept.len();
        while list.next_element::<IgnoredAny>()?.is_some() {
            found += 1;
        }
        Ok(Entries { kept, found })
    }
}

#[derive(Deserialize)]
struct EntryRead {
    issuer: Option<String>,
    actor: Option<String>,
    provider: Option<String>,
    digest: Option<String>,
    reason: Option<String>,
    since: u64,
}

impl EntryRead {
    fn parse(self, index: usize) -> Result<Entry, RevocationError> {
        let members = [self.issuer, self.actor, self.provider, self.digest];
        let mut named = Revoked::KINDS.into_iter().zip(members).filter_map(|(kind, text)| Some((kind, text?)));
        let (Some((kind, text)), None) = (named.next(), named.next()) else {
            return Err(RevocationError::NotOneThing { index });
        };
        Ok(Entry { revoked: Revoked::parse(kind, &text)?, reason: self.reason, since: self.since })
    }
}
