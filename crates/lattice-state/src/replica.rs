//! The local replica: everything a host knows of the lattice, on its own disk (redb).
//!
//! Knows nothing of NATS. Invariants: a write returned is a write kept, JetStream never holds the only copy; a store that
//! a newer version has written is left as it is.

use std::{
    fs,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};

use crate::{
    Bucket,
    merge::{Fingerprint, Local},
};

const FACTS: TableDefinition<&str, &str> = TableDefinition::new("facts");
const LATTICE: TableDefinition<&str, &[u8]> = TableDefinition::new("lattice");
const CONFIG: TableDefinition<&str, &[u8]> = TableDefinition::new("config");
const REVOCATIONS: TableDefinition<&str, &[u8]> = TableDefinition::new("revocations");

/// Fact that says in which format the store is; stores of before there was one are in the first.
const FORMAT_FACT: &str = "format";
/// The format that is read and written here. What is only added (a table, a fact, a member of a record) keeps the number:
/// who does not know it does not miss it.
const FORMAT: u32 = 1;

fn table(bucket: Bucket) -> TableDefinition<'static, &'static str, &'static [u8]> {
    match bucket {
        Bucket::Lattice => LATTICE,
        Bucket::Config => CONFIG,
        Bucket::Revocations => REVOCATIONS,
    }
}

fn incarnation_fact(bucket: Bucket) -> &'static str {
    match bucket {
        Bucket::Lattice => "incarnation.lattice",
        Bucket::Config => "incarnation.config",
        Bucket::Revocations => "incarnation.revocations",
    }
}

/// Why the replica cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// The store failed (disk full, damaged, in use).
    #[error("local state store")]
    Store(#[source] Box<redb::Error>),
    /// A newer version has written it; nothing in it was changed.
    #[error(
        "it is in format {found}, and this version reads up to {FORMAT}; run the version that wrote it, or choose another \
         state directory"
    )]
    Newer {
        /// The format, as it says.
        found: String,
    },
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

impl ReplicaError {
    /// Whether the disk did not do what was asked, so that the store has to be opened again.
    fn is_of_the_disk(&self) -> bool {
        matches!(self, Self::Store(error) if matches!(**error, redb::Error::Io(_) | redb::Error::PreviousIo))
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    revision: u64,
    written_ms: u64,
    pending: bool,
    deleted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaced: Option<Fingerprint>,
}

/// Whether a change is on the disk when the call that makes it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is.
    Now,
    /// It is with the next one that is. Until then a crash may undo it.
    Later,
}

/// The store. Cheap to clone; calls block for a disk write, so they are made from the state task only.
#[derive(Clone)]
pub struct Replica {
    file: Arc<File>,
}

struct File {
    path: PathBuf,
    /// None after a failure of the disk, until it is opened again.
    database: Mutex<Option<Database>>,
}

impl Replica {
    /// Opens or creates the store.
    ///
    /// # Errors
    /// [`ReplicaError::Store`] when the file cannot be used, [`ReplicaError::Newer`] when it is not for us.
    pub fn open(path: &Path) -> Result<Self, ReplicaError> {
        let database = open(path)?;
        check_format(&database)?;
        let transaction = database.begin_write()?;
        for bucket in Bucket::ALL {
            transaction.open_table(table(bucket))?;
        }
        transaction.open_table(FACTS)?.insert(FORMAT_FACT, FORMAT.to_string().as_str())?;
        transaction.commit()?;
        Ok(Self { file: Arc::new(File { path: path.to_owned(), database: Mutex::new(Some(database)) }) })
    }

    /// Works with the database. One whose disk has failed does nothing more (redb sees to that), so it is opened again for
    /// the next who comes: a full disk must not be the end of a host.
    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, ReplicaError>) -> Result<T, ReplicaError> {
        let mut open_now = self.file.database.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match open_now.take() {
            Some(database) => database,
            None => open(&self.file.path)?,
        };
        let outcome = work(&database);
        if !outcome.as_ref().is_err_and(ReplicaError::is_of_the_disk) {
            *open_now = Some(database);
        }
        outcome
    }

    #[cfg(test)]
    fn load(&self, bucket: Bucket) -> Result<std::collections::BTreeMap<String, Local>, ReplicaError> {
        let mut entries = std::collections::BTreeMap::new();
        self.read(bucket, |key, entry| drop(entries.insert(key.to_owned(), entry)))?;
        Ok(entries)
    }

    /// Reads the records of a bucket one after the other, in the order of their keys.
    ///
    /// # Errors
    /// [`ReplicaError`] when the store fails or a record is damaged.
    pub fn read(&self, bucket: Bucket, mut each: impl FnMut(&str, Local)) -> Result<(), ReplicaError> {
        self.with(|database| {
            let transaction = database.begin_read()?;
            let table = transaction.open_table(table(bucket))?;
            for record in table.iter()? {
                let (key, value) = record?;
                each(key.value(), decode(key.value(), value.value())?);
            }
            Ok(())
        })
    }

    /// Writes records in one transaction; a record that is none is removed.
    ///
    /// # Errors
    /// [`ReplicaError::Store`]; nothing was changed then.
    pub fn set(&self, bucket: Bucket, records: &[(String, Option<Local>)], kept: Kept) -> Result<(), ReplicaError> {
        self.with(|database| {
            let mut transaction = database.begin_write()?;
            if kept == Kept::Later {
                transaction.set_durability(Durability::None)?;
            }
            {
                let mut table = transaction.open_table(table(bucket))?;
                for (key, entry) in records {
                    match entry {
                        Some(entry) => table.insert(key.as_str(), encode(entry).as_slice())?,
                        None => table.remove(key.as_str())?,
                    };
                }
            }
            transaction.commit()?;
            Ok(())
        })
    }

    /// A remembered fact about this host or a bucket.
    ///
    /// # Errors
    /// [`ReplicaError::Store`].
    pub fn fact(&self, name: &str) -> Result<Option<String>, ReplicaError> {
        self.with(|database| read_fact(database, name))
    }

    /// Remembers a fact.
    ///
    /// # Errors
    /// [`ReplicaError::Store`].
    pub fn set_fact(&self, name: &str, value: &str) -> Result<(), ReplicaError> {
        self.change_fact(name, |_| value.to_owned())
    }

    /// Reads, changes and remembers a fact in one transaction.
    ///
    /// # Errors
    /// [`ReplicaError::Store`].
    pub fn change_fact(&self, name: &str, change: impl FnOnce(Option<String>) -> String) -> Result<(), ReplicaError> {
        self.with(|database| {
            let transaction = database.begin_write()?;
            {
                let mut table = transaction.open_table(FACTS)?;
                let before = table.get(name)?.map(|value| value.value().to_owned());
                table.insert(name, change(before).as_str())?;
            }
            transaction.commit()?;
            Ok(())
        })
    }

    /// Which incarnation of a bucket the revisions belong to.
    ///
    /// # Errors
    /// [`ReplicaError::Store`].
    pub fn incarnation(&self, bucket: Bucket) -> Result<Option<String>, ReplicaError> {
        self.fact(incarnation_fact(bucket))
    }

    /// Remembers the incarnation of a bucket.
    ///
    /// # Errors
    /// [`ReplicaError::Store`].
    pub fn set_incarnation(&self, bucket: Bucket, incarnation: &str) -> Result<(), ReplicaError> {
        self.set_fact(incarnation_fact(bucket), incarnation)
    }
}

fn open(path: &Path) -> Result<Database, ReplicaError> {
    // Before anything is in it: link values may be passwords.
    let private = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    private.map_err(redb::Error::Io)?;
    Ok(Database::builder().set_cache_size(1 << 20).create(path)?)
}

/// Refuses a store that is not for us, before anything is written into it.
fn check_format(database: &Database) -> Result<(), ReplicaError> {
    match read_fact(database, FORMAT_FACT)? {
        Some(found) if found.parse::<u32>().is_ok_and(|found| found <= FORMAT) => Ok(()),
        Some(found) => Err(ReplicaError::Newer { found }),
        None => Ok(()),
    }
}

fn read_fact(database: &Database, name: &str) -> Result<Option<String>, ReplicaError> {
    let transaction = database.begin_read()?;
    let table = match transaction.open_table(FACTS) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        table => table?,
    };
    Ok(table.get(name)?.map(|value| value.value().to_owned()))
}

fn encode(entry: &Local) -> Vec<u8> {
    let header = Header {
        revision: entry.revision,
        written_ms: entry.written_ms,
        pending: entry.pending,
        deleted: entry.value.is_none(),
        replaced: entry.replaced,
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
        replaced: header.replaced,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_there_after_a_reopen() {
        let directory = tempfile::tempdir().expect("a temp directory");
        let path = directory.path().join("state.redb");
        let entry = Local {
            value: Some(Bytes::from_static(b"{\n}")),
            revision: 7,
            written_ms: 9,
            pending: true,
            replaced: None,
        };
        let gone = Local { value: None, revision: 8, written_ms: 10, pending: true, replaced: Some([7; 32]) };
        {
            let replica = Replica::open(&path).expect("opens");
            let records = [("LINKDEF_A".to_owned(), Some(entry.clone())), ("LINKDEF_B".to_owned(), Some(gone.clone()))];
            replica.set(Bucket::Lattice, &records, Kept::Now).expect("writes");
            replica.set(Bucket::Config, &[("c".to_owned(), Some(entry.clone()))], Kept::Now).expect("writes");
            replica.set(Bucket::Config, &[("c".to_owned(), None)], Kept::Later).expect("removes");
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

    #[test]
    fn a_store_of_before_there_were_formats_is_read_and_one_of_a_newer_version_is_left_alone() {
        let directory = tempfile::tempdir().expect("a temp directory");
        let path = directory.path().join("state.redb");
        let entry = Local {
            value: Some(Bytes::from_static(b"{}")),
            revision: 7,
            written_ms: 9,
            pending: false,
            replaced: None,
        };
        let write = |work: &dyn Fn(&redb::WriteTransaction)| {
            let database = Database::create(&path).expect("opens");
            let transaction = database.begin_write().expect("begins");
            work(&transaction);
            transaction.commit().expect("writes");
        };
        write(&|transaction| {
            let record = br#"{"revision":7,"written_ms":9,"pending":false,"deleted":false,"color":"red"}"#;
            let record = [record.as_slice(), b"\n{}"].concat();
            transaction.open_table(LATTICE).expect("a table").insert("k", record.as_slice()).expect("writes");
            transaction.open_table(FACTS).expect("a table").insert("of another time", "x").expect("writes");
        });
        let replica = Replica::open(&path).expect("an old one opens");
        assert_eq!(replica.load(Bucket::Lattice).expect("loads"), [("k".to_owned(), entry)].into());
        assert_eq!(replica.fact(FORMAT_FACT).expect("reads").as_deref(), Some("1"));
        drop(replica);

        write(&|transaction| {
            transaction.open_table(FACTS).expect("a table").insert(FORMAT_FACT, "2").expect("writes");
        });
        let Err(error) = Replica::open(&path) else { panic!("it is not for us") };
        assert!(error.to_string().contains("format 2"), "{error}");
        let database = open(&path).expect("opens");
        assert_eq!(read_fact(&database, FORMAT_FACT).expect("reads").as_deref(), Some("2"));
        let records = database.begin_read().expect("begins").open_table(LATTICE).expect("a table");
        assert!(records.get("k").expect("reads").is_some(), "nothing is lost");
    }

    #[test]
    fn a_store_whose_disk_failed_is_opened_again() {
        let directory = tempfile::tempdir().expect("a temp directory");
        let replica = Replica::open(&directory.path().join("state.redb")).expect("opens");
        replica.set_fact("a", "1").expect("writes");
        let full = || redb::Error::Io(std::io::ErrorKind::StorageFull.into());
        let failed = replica.with(|_| Err::<(), _>(ReplicaError::Store(Box::new(full()))));
        assert!(failed.is_err());
        assert!(replica.file.database.lock().expect("nobody panicked").is_none());
        assert_eq!(replica.fact("a").expect("reads").as_deref(), Some("1"));
        replica.set_fact("a", "2").expect("writes");
    }
}
