//! Files of this machine that clients of the host name.
//!
//! They are read by threads of their own, of which there are a few: a file system that does not answer (a server that is
//! away) takes those, and neither the threads that other work waits for nor the end of the host. Invariant: nobody waits
//! for a file longer than [`READ_WITHIN`].

use std::{path::PathBuf, sync::Arc, time::Duration};

use artifacts::{FileError, LoadBudget, LocalFile};
use bytes::Bytes;
use claims::revocation::Sha256;
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};

use super::FetchError;

/// Files read at one time.
const MAX_READERS: usize = 4;
/// How long opening or reading may take.
const READ_WITHIN: Duration = Duration::from_secs(30);

/// The threads that read.
#[derive(Debug)]
pub struct Files {
    free: Arc<Semaphore>,
}

impl Default for Files {
    fn default() -> Self {
        Self { free: Arc::new(Semaphore::new(MAX_READERS)) }
    }
}

impl Files {
    /// Opens and reads a file of at most `limit` bytes, within `budget`.
    ///
    /// # Errors
    /// [`FetchError`] without any of what is in the file.
    pub async fn read(&self, path: PathBuf, limit: u64, budget: &LoadBudget) -> Result<(Bytes, Sha256), FetchError> {
        let opened = path.clone();
        let file = self.run(&path, move || LocalFile::open(&opened, limit)).await??;
        let reserved = budget.reserve(file.len()).await.map_err(|_| FetchError::Busy)?;
        let read = move || file.read().map(|bytes| (Sha256::of(&bytes), bytes));
        let (digest, bytes) = self.run(&path, read).await??;
        Ok((reserved.hold(bytes), digest))
    }

    /// Runs `work` on a thread of its own. The place it takes comes back when it is done, whoever still waits for it.
    async fn run<T: Send + 'static>(
        &self,
        path: &std::path::Path,
        work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
    ) -> Result<Result<T, FetchError>, FetchError> {
        let silent = || FetchError::FileSilent { path: path.display().to_string(), after: READ_WITHIN };
        let place = timeout(READ_WITHIN, self.free.clone().acquire_owned()).await;
        let place = place.map_err(|_| silent())?.map_err(|_| FetchError::Interrupted)?;
        let (done, outcome) = oneshot::channel();
        let job = move || {
            let outcome = work();
            drop(place);
            // Nobody may be left to hear it.
            done.send(outcome).ok();
        };
        std::thread::Builder::new()
            .name("read-artifact".to_owned())
            .spawn(job)
            .map_err(|source| FetchError::File(FileError::Unreadable { path: path.display().to_string(), source }))?;
        let outcome = timeout(READ_WITHIN, outcome).await.map_err(|_| silent())?;
        Ok(outcome.map_err(|_| FetchError::Interrupted)?.map_err(FetchError::File))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn readers_that_hang_are_not_waited_for_and_have_a_bound() {
        let files = Files::default();
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let gate = Arc::new(std::sync::Mutex::new(gate));
        let hang = |gate: Arc<std::sync::Mutex<std::sync::mpsc::Receiver<()>>>| {
            move || {
                gate.lock().expect("no panic").recv().ok();
                Ok(())
            }
        };
        let path = std::path::Path::new("/away/x.wasm");
        for _ in 0..=MAX_READERS {
            let refused = files.run(path, hang(gate.clone())).await.map(drop).expect_err("it hangs");
            assert_eq!(refused.code(), "file_silent");
        }
        drop(open);
        files.free.acquire_many(4).await.expect("all places come back when the system answers").forget();
    }

    #[tokio::test]
    async fn a_file_counts_while_it_is_held() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("x");
        std::fs::write(&path, vec![7; 100_000]).expect("written");
        let budget = LoadBudget::new(1 << 20);
        let (bytes, digest) = Files::default().read(path, 1 << 20, &budget).await.expect("read");
        assert_eq!(digest, Sha256::of(&bytes));
        assert!(budget.held() >= 100_000);
        drop(bytes);
        assert_eq!(budget.held(), 0);
    }
}
