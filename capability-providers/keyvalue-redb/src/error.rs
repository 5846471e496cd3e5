//! How the store fails, and what a caller is told.

use std::path::PathBuf;

use provider_sdk::contracts::CallError;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory cannot be made.
    #[error("cannot use the directory `{path}`: {reason}")]
    Directory {
        /// Where.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// The database cannot be opened.
    #[error("cannot open the database `{path}`: {reason}")]
    Open {
        /// Where.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The thread that writes cannot be started.
    #[error("cannot start the thread that writes: {reason}")]
    Thread {
        /// The system's reason.
        reason: String,
    },
}

/// Why an operation was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The caller's business; the store is as it was.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The store's business; the whole batch is undone.
    #[error("{0}")]
    Storage(String),
    /// The disk's business: the same, and the database does nothing more until it is opened again.
    #[error("{0}")]
    Disk(String),
}

/// Errors of the database, which has one type for each of its steps.
macro_rules! from_database {
    ($($error:ident),+) => {
        $(impl From<redb::$error> for Fault {
            fn from(error: redb::$error) -> Self {
                redb::Error::from(error).into()
            }
        })+
    };
}
from_database!(DatabaseError, StorageError, TableError, TransactionError, CommitError);

impl From<redb::Error> for Fault {
    fn from(error: redb::Error) -> Self {
        let reason = error.to_string();
        match error {
            redb::Error::Io(_) | redb::Error::PreviousIo => Self::Disk(reason),
            _ => Self::Storage(reason),
        }
    }
}

/// An error of the contract itself.
pub fn reported(message: impl Into<String>) -> Fault {
    Fault::Call(CallError::Reported { message: message.into() })
}

/// What a caller is told when the store fails.
pub fn unusable(reason: &str) -> CallError {
    CallError::Unreachable { target: "keyvalue-redb".to_owned(), reason: reason.to_owned() }
}
