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
    /// [`Fault::Storage`]; a database that another process uses is one.
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
            None => Err(Fault::Storage("the disk has failed, and has not taken a change since".to_owned())),
        }
    }

    /// Changes something; the database is opened before that if it is not, and given up when it fails.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn write<T>(&self, change: impl FnOnce(&Database) -> Result<T, Fault>) -> Result<T, Fault> {
        self.open_again()?;
        let changed = self.read(change);
        if let Err(Fault::Storage(_)) = changed {
            *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        changed
    }

    fn open_again(&self) -> Result<(), Fault> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if database.is_none() {
            *database = Some(create(&self.path)?);
        }
        Ok(())
    }
}

fn create(path: &std::path::Path) -> Result<Database, Fault> {
    Database::builder().set_cache_size(PAGES).create(path).map_err(|error| Fault::Storage(error.to_string()))
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
        let failed = || Fault::Storage("no space".to_owned());
        assert!(file.write(|_| Err::<(), _>(failed())).is_err());
        assert!(matches!(get(&file), Err(Fault::Storage(_))));
        file.write(|database| put(database, 2)).unwrap();
        assert_eq!(get(&file).unwrap(), 2);
    }

    #[test]
    fn what_a_caller_did_wrong_gives_nothing_up() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::open(directory.path().join("test.redb")).unwrap();
        file.write(|database| put(database, 1)).unwrap();
        assert!(file.write(|_| Err::<(), _>(crate::error::reported("wrong"))).is_err());
        assert_eq!(get(&file).unwrap(), 1);
    }
}
