//! The file of the database, which is opened again after a failure of the disk.
//!
//! A database whose disk has failed does nothing more (redb sees to that), also when there is room again. Invariant: a
//! file is never open twice.

use std::{
    path::PathBuf,
    sync::{PoisonError, RwLock},
};

use redb::Database;

use crate::error::Fault;

/// Memory for pages of the database.
const PAGES: usize = 16 << 20;

/// The file, and the database in it.
pub struct File {
    path: PathBuf,
    /// None after a failure, until the next change opens it.
    database: RwLock<Option<Database>>,
}

impl File {
    /// Opens the database, or makes one.
    ///
    /// # Errors
    /// [`Fault`]; a database that another process uses is one.
    pub fn open(path: PathBuf) -> Result<Self, Fault> {
        let database = RwLock::new(Some(create(&path)?));
        Ok(Self { path, database })
    }

    /// Looks at what is there.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn read<T>(&self, look: impl FnOnce(&Database) -> Result<T, Fault>) -> Result<T, Fault> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        match &*database {
            Some(database) => look(database),
            None => Err(Fault::Disk("the disk has failed, and has not taken a change since".to_owned())),
        }
    }

    /// Changes something; the database is opened before that if it is not, and given up when the disk fails. One caller at
    /// a time.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn write<T>(&self, change: impl FnOnce(&Database) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.database.read().unwrap_or_else(PoisonError::into_inner).is_none() {
            self.set(Some(create(&self.path)?));
        }
        let changed = self.read(change);
        if let Err(Fault::Disk(_)) = changed {
            self.set(None);
        }
        changed
    }

    /// Waits for whoever reads: only after a failure, so that otherwise readers and the writer never meet.
    fn set(&self, database: Option<Database>) {
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = database;
    }
}

fn create(path: &std::path::Path) -> Result<Database, Fault> {
    Ok(Database::builder().set_cache_size(PAGES).create(path)?)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use redb::{ReadableDatabase as _, TableDefinition};

    use super::*;

    const TABLE: TableDefinition<'_, &str, u64> = TableDefinition::new("test");

    fn put(database: &Database, value: u64) -> Result<(), Fault> {
        let transaction = database.begin_write()?;
        transaction.open_table(TABLE)?.insert("key", value)?;
        Ok(transaction.commit()?)
    }

    fn get(file: &File) -> Result<u64, Fault> {
        file.read(|database| Ok(database.begin_read()?.open_table(TABLE)?.get("key")?.unwrap().value()))
    }

    #[test]
    fn a_failure_of_the_disk_gives_the_database_up_until_the_next_change() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::open(directory.path().join("test.redb")).unwrap();
        file.write(|database| put(database, 1)).unwrap();
        let full = || Fault::from(redb::StorageError::Io(std::io::ErrorKind::StorageFull.into()));
        assert!(file.write(|_| Err::<(), _>(full())).is_err());
        assert!(matches!(get(&file), Err(Fault::Disk(_))));
        file.write(|database| put(database, 2)).unwrap();
        assert_eq!(get(&file).unwrap(), 2);
    }

    #[test]
    fn what_is_not_the_disks_fault_gives_nothing_up() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::open(directory.path().join("test.redb")).unwrap();
        file.write(|database| put(database, 1)).unwrap();
        for fault in [crate::error::reported("wrong"), Fault::Storage("a record is damaged".to_owned())] {
            assert!(file.write(|_| Err::<(), _>(fault)).is_err());
            assert_eq!(get(&file).unwrap(), 1);
        }
    }

    #[test]
    fn a_change_goes_on_beside_a_reader() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::open(directory.path().join("test.redb")).unwrap();
        let reading = file.read(|_| file.write(|database| put(database, 1)));
        reading.unwrap();
        assert_eq!(get(&file).unwrap(), 1);
    }
}
