//! The lock on a state directory, so that two hosts never share one.
//!
//! A directory is taken only if it is this user's alone (`trust::private`). Invariant: as long as a [`StateLock`] lives, no other host can take the directory; once it is dropped, one can at once.

use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::HostError;
use crate::process::private;

const LOCK: &str = "lock";
/// A directory that holds one of these is a state directory, also when it was copied in part.
const MARKS: [&str; 4] = [LOCK, "state.redb", "host.nk", "cluster.nk"];

/// How long a start waits for the lock. Others may have it for a moment: whoever asks [`is_in_use`], and a process that
/// a host was just starting when it crashed.
const PATIENCE: Duration = Duration::from_millis(500);
const INTERVAL: Duration = Duration::from_millis(10);

/// Holds the state directory; released when dropped, also by a crash.
pub(super) struct StateLock(File);

impl StateLock {
    /// Takes the directory, which is made if it is not there. Dropping the future takes nothing.
    ///
    /// # Errors
    /// [`HostError::StateDirInUse`] when another host has it, [`HostError::NotPrivate`] when it is not this user's alone,
    /// [`HostError::StateDir`] when it cannot be used at all.
    pub(super) async fn take(directory: &Path) -> Result<Self, HostError> {
        let unusable = |source| HostError::StateDir { path: directory.to_owned(), source };
        let not_private = |source| HostError::NotPrivate { flag: "--state-dir", source };
        private::state_directory(directory, &MARKS).map_err(not_private)?;
        let file = open(directory).map_err(unusable)?;
        let until = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) if Instant::now() < until => sleep(INTERVAL).await,
                Err(TryLockError::WouldBlock) => return Err(HostError::StateDirInUse { path: directory.to_owned() }),
                Err(TryLockError::Error(source)) => return Err(unusable(source)),
            }
        }
    }
}

impl Drop for StateLock {
    fn drop(&mut self) {
        // To close the file is not enough: a process that is just being started has it too, until it runs its program.
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the state directory stays locked until this process ends");
        }
    }
}

fn open(directory: &Path) -> std::io::Result<File> {
    fs::OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(lock_path(directory))
}

fn lock_path(directory: &Path) -> PathBuf {
    directory.join(LOCK)
}

/// Whether a host uses this state directory now.
#[must_use]
pub fn is_in_use(directory: &Path) -> bool {
    match fs::OpenOptions::new().write(true).open(lock_path(directory)) {
        Ok(file) => matches!(file.try_lock(), Err(TryLockError::WouldBlock)),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_host_has_it_until_it_is_dropped() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("new");
        assert!(!is_in_use(&state));
        let lock = StateLock::take(&state).await.expect("it is free");
        assert!(is_in_use(&state));
        assert!(matches!(StateLock::take(&state).await, Err(HostError::StateDirInUse { path }) if path == state));
        drop(lock);
        assert!(!is_in_use(&state));
    }

    #[tokio::test]
    async fn a_directory_that_is_not_this_users_alone_is_not_taken() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("passwd"), "").expect("written");
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).expect("ours");
        assert!(matches!(StateLock::take(dir.path()).await, Err(HostError::NotPrivate { .. })));
        assert!(!dir.path().join("lock").exists());
    }

    #[tokio::test]
    async fn a_process_that_is_being_started_keeps_nothing_locked() {
        let dir = tempfile::tempdir().expect("a directory");
        let lock = StateLock::take(dir.path()).await.expect("it is free");
        let _in_the_child = lock.0.try_clone().expect("what a fork does");
        drop(lock);
        assert!(!is_in_use(dir.path()));
    }

    #[tokio::test]
    async fn who_only_looks_keeps_no_host_from_starting() {
        let dir = tempfile::tempdir().expect("a directory");
        let looking = open(dir.path()).expect("a file");
        looking.try_lock().expect("it is free");
        let start = StateLock::take(dir.path());
        let look_away = async {
            sleep(PATIENCE / 10).await;
            drop(looking);
        };
        // In this order, so that a machine that stands still for longer than a start waits makes no difference.
        let ((), started) = tokio::join!(biased; look_away, start);
        assert!(started.is_ok());
    }
}
