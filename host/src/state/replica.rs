//! The local replica: everything a host knows of the lattice, on its own disk (redb).
//!
//! Knows nothing of NATS. Invariant: a write returned is a write kept; JetStream never holds the only copy.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};

use super::merge::Local;

const FACTS: TableDefinition<&str, &str> = TableDefinition::new("facts");
const LATTICE: TableDefinition<&str, &[u8]> = TableDefinition::new("lattice");
const CONFIG: TableDefinition<&str, &[u8]> = TableDefinition::new("config");
const REVOCATIONS: TableDefinition<&str, &[u8]> = TableDefinition::new("revocations");

/// The buckets that are replicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// Links and claims.
    Lattice,
    /// Configuration of actors and providers.
    Config,
    /// Revocation lists.
    Revocations,
}

impl Bucket {
    /// All of them, in the order in which they are compared: what must stop comes first.
    pub const ALL: [Self; 3] = [Self::Revocations, Self::Lattice, Self::Config];

    fn table(self) -> TableDefinition<'static, &'static str, &'static [u8]> {
        match self {
            Self::Lattice => LATTICE,
            Self::Config => CONFIG,
            Self::Revocations => REVOCATIONS,
        }
    }

    fn incarnation_fact(self) -> &'static str {
        match self {
            Self::Lattice => "incarnation.lattice",
            Self::Config => "incarnation.config",
            Self::Revocations => "incarnation.revocations",
        }
    }
}

/// Why the replica cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// The store failed (disk full, damaged, in use).
    #[error("local state store")]
    Store(#[source] Box<redb::Error>),
    /// The host is stopping.
    #[error("the write was interrupted by the stop of the host")]
    Interrupted,
    /// A record is not what was written.
    #[error("record `{key}` of the local state store is damaged")]
    Record {
        /// Its key.
        key: String,
        /// The decoder's reason.
        source: serde_json::Error,
    },
}

impl<E: Into<redb::Error>> From<E> for ReplicaError {
    fn from(error: E) -> Self {
        Self::Store(Box::new(error.into()))
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    revision: u64,
    written_ms: u64,
    pending: bool,
    deleted: bool,
}

/// The store. Cheap to clone; calls block for a disk write, so they are made from the state task only.
#[derive(Clone)]
pub struct Replica {
    database: Arc<Database>,
}

impl Replica {
    /// Opens or creates the store.
    ///
    /// # Errors
    /// [`ReplicaError::Store`] when the file cannot be used.
    pub fn open(path: &Path) -> Result<Self, ReplicaError> {
        let database = Database::builder().set_cache_size(1 << 20).create(path)?;
        let transaction = database.begin_write()?;
        for bucket in Bucket::ALL {
            transaction.open_table(bucket.table())?;
        }
        transaction.open_table(FACTS)?;
        transaction.commit()?;
        Ok(Self { database: Arc::new(database) })
    }

    /// Every record of a bucket.
    ///
    /// # Errors
    /// [`ReplicaError`] when the store fails or a record is damaged.
    pub fn load(&self, bucket: Bucket) -> Result<BTreeMap<String, Local>, ReplicaError> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(bucket.table())?;
        let mut entries = BTreeMap::new();
        for record in table.iter()? {
            let (key, value) = record?;
            entries.insert(key.value().to_owned(), decode(key.value(), value.value())?);
        }
        Ok(entries)
    }

    /// Writes records in one transaction; a record that is none is removed.
    ///
    /// # Errors
    /// [`ReplicaError::Store`]; nothing was changed then.
    pub fn set(&self, bucket: Bucket, records: &[(String, Option<Local>)]) -> Result<(), ReplicaError> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(bucket.table())?;
            for (key, entry) in records {
                match entry {
                    Some(entry) => table.insert(key.as_str(), encode(entry).as_slice())?,
                    None => table.remove(key.as_str())?,
                };
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// A remembered fact about this host or a bucket.
    ///
    /// # Errors
    /// [`ReplicaError::Store`].
    pub fn fact(&self, name: &str) -> Result<Option<String>, ReplicaError> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(FACTS)?;
        Ok(table.get(name)?.map(|value| value.value().to_owned()))
    }

    /// Remembers a fact.
    ///
    /// # Errors
    /// [`ReplicaError::Store`].
    pub fn set_fact(&self, name: &str, value: &str) -> Result<(), ReplicaError> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(FACTS)?.insert(name, value)?;
        transaction.commit()?;
        Ok(())
    }

    /// Reads, changes and remembers a fact in one transaction.
    ///
    /// # Errors
    /// [`ReplicaError::Store`].
    pub fn change_fact(&self, name: &str, change: impl FnOnce(Option<String>) -> String) -> Result<(), ReplicaError> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(FACTS)?;
            let before = table.get(name)?.map(|value| value.value().to_owned());
            table.insert(name, change(before).as_str())?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Which incarnation of a bucket the revisions belong to.
    ///
    /// # Errors
    /// [`ReplicaError::Store`].
    pub fn incarnation(&self, bucket: Bucket) -> Result<Option<String>, ReplicaError> {
        self.fact(bucket.incarnation_fact())
    }

    /// Remembers the incarnation of a bucket.
    ///
    /// # Errors
    /// [`ReplicaError::Store`].
    pub fn set_incarnation(&self, bucket: Bucket, incarnation: &str) -> Result<(), ReplicaError> {
        self.set_fact(bucket.incarnation_fact(), incarnation)
    }
}

fn encode(entry: &Local) -> Vec<u8> {
    let header = Header {
        revision: entry.revision,
        written_ms: entry.written_ms,
        pending: entry.pending,
        deleted: entry.value.is_none(),
    };
    let mut record = serde_json::to_vec(&header).expect("a header of numbers and flags is JSON");
    record.push(b'\n');
    record.extend_from_slice(entry.value.as_deref().unwrap_or_default());
    record
}

fn decode(key: &str, record: &[u8]) -> Result<Local, ReplicaError> {
    let end = record.iter().position(|byte| *byte == b'\n').unwrap_or(record.len());
    let header: Header = serde_json::from_slice(&record[..end])
        .map_err(|source| ReplicaError::Record { key: key.to_owned(), source })?;
    let value = Bytes::copy_from_slice(record.get(end + 1..).unwrap_or_default());
    Ok(Local {
        value: (!header.deleted).then_some(value),
        revision: header.revision,
        written_ms: header.written_ms,
        pending: header.pending,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_there_after_a_reopen() {
        let directory = tempfile::tempdir().expect("a temp directory");
        let path = directory.path().join("state.redb");
        let entry = Local { value: Some(Bytes::from_static(b"{\n}")), revision: 7, written_ms: 9, pending: true };
        let gone = Local { value: None, revision: 8, written_ms: 10, pending: true };
        {
            let replica = Replica::open(&path).expect("opens");
            let records = [("LINKDEF_A".to_owned(), Some(entry.clone())), ("LINKDEF_B".to_owned(), Some(gone.clone()))];
            replica.set(Bucket::Lattice, &records).expect("writes");
            replica.set(Bucket::Config, &[("c".to_owned(), Some(entry.clone()))]).expect("writes");
            replica.set(Bucket::Config, &[("c".to_owned(), None)]).expect("removes");
            replica.set_incarnation(Bucket::Lattice, "then").expect("writes");
        }
        let replica = Replica::open(&path).expect("opens again");
        let all = replica.load(Bucket::Lattice).expect("loads");
        assert_eq!(all.get("LINKDEF_A"), Some(&entry));
        assert_eq!(all.get("LINKDEF_B"), Some(&gone));
        assert!(replica.load(Bucket::Config).expect("loads").is_empty());
        assert_eq!(replica.incarnation(Bucket::Lattice).expect("reads").as_deref(), Some("then"));
    }

    #[test]
    fn a_damaged_record_is_named() {
        let error = decode("LINKDEF_X", b"junk").expect_err("not a record");
        assert!(error.to_string().contains("LINKDEF_X"));
    }
}
