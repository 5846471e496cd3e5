//! The database: one file, any number of readers, one thread that writes.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
    time::Instant,
};

use provider_sdk::contracts::{
    CallError,
    keyvalue::{Answer, Request},
};
use redb::{Database, ReadableDatabase as _};
use tokio::sync::{Semaphore, oneshot};

use crate::{
    error::{Fault, StoreError, unusable},
    file::File,
    read,
    settings::{LinkSettings, Settings},
    tables::Tables,
    writer::{self, Job, Trouble, now_ms},
};

/// Operations that wait to be written; more wait in their callers.
const QUEUE: usize = 1024;
/// Reads at once; more wait in their callers.
const READERS: usize = 16;

/// An open database.
pub struct Store {
    file: Arc<File>,
    max_answer: u64,
    writer: Mutex<Option<Writer>>,
    places: Arc<Semaphore>,
    readers: Semaphore,
    trouble: Trouble,
}

struct Writer {
    jobs: mpsc::Sender<Job>,
    thread: JoinHandle<()>,
}

impl Store {
    /// Opens the database, or makes one.
    ///
    /// # Errors
    /// [`StoreError`]; a database that another process uses is one.
    pub fn open(settings: &Settings) -> Result<Self, StoreError> {
        let directory = &settings.directory;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| StoreError::Directory { path: directory.clone(), reason: error.to_string() })?;
        let path = directory.join("keyvalue.redb");
        let failed = |fault: Fault| StoreError::Open { path: path.clone(), reason: fault.to_string() };
        let file = File::open(path.clone()).map_err(failed)?;
        file.write(prepare).map_err(failed)?;
        let (file, trouble) = (Arc::new(file), Trouble::default());
        let (jobs, incoming) = mpsc::channel();
        let (of_thread, told) = (Arc::clone(&file), Arc::clone(&trouble));
        let thread = std::thread::Builder::new()
            .name("keyvalue-redb".to_owned())
            .spawn(move || writer::run(&of_thread, &incoming, &told))
            .map_err(|error| StoreError::Thread { reason: error.to_string() })?;
        Ok(Self {
            file,
            max_answer: settings.max_answer,
            writer: Mutex::new(Some(Writer { jobs, thread })),
            places: Arc::new(Semaphore::new(QUEUE)),
            readers: Semaphore::new(READERS),
            trouble,
        })
    }

    /// Carries an operation out.
    ///
    /// # Errors
    /// [`CallError`], by the deadline at the latest. An operation that changes something and is not answered by then may
    /// have been carried out.
    pub async fn carry_out(
        &self,
        link: LinkSettings,
        request: Request,
        deadline: Instant,
    ) -> Result<Answer, CallError> {
        let work = async {
            if read::only_looks(&request) {
                self.look(link, request).await
            } else {
                self.write(link, request, deadline).await
            }
        };
        let late = |_| Err(CallError::DeadlineExceeded { step: "waiting for the disk".to_owned() });
        tokio::time::timeout_at(deadline.into(), work).await.unwrap_or_else(late)
    }

    async fn look(&self, link: LinkSettings, request: Request) -> Result<Answer, CallError> {
        let _place = self.readers.acquire().await.map_err(|_| closed())?;
        let (file, max_answer) = (Arc::clone(&self.file), self.max_answer);
        let look =
            move || file.read(|database| read::answer(&database.begin_read()?, now_ms(), max_answer, &link, &request));
        match tokio::task::spawn_blocking(look).await.map_err(|_| closed())? {
            Ok(answer) => Ok(answer),
            Err(Fault::Call(error)) => Err(error),
            Err(fault) => Err(unusable(&fault.to_string())),
        }
    }

    async fn write(&self, link: LinkSettings, request: Request, deadline: Instant) -> Result<Answer, CallError> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| closed())?;
        let (done, answer) = oneshot::channel();
        let job = Job { link, request, deadline, done, place };
        let sent = self.writer().as_ref().is_some_and(|writer| writer.jobs.send(job).is_ok());
        if !sent {
            return Err(closed());
        }
        let not_started = || CallError::DeadlineExceeded { step: "waiting for the disk".to_owned() };
        answer.await.map_err(|_| not_started())?
    }

    /// What is wrong with the disk, if anything.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the thread that writes, after what waits is written.
    pub async fn close(&self) {
        let writer = self.writer().take();
        if let Some(Writer { jobs, thread }) = writer {
            drop(jobs);
            // A panic in it was reported when it happened.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    // Nothing can panic while the lock is held.
    fn writer(&self) -> std::sync::MutexGuard<'_, Option<Writer>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Readers need the tables to be there.
fn prepare(database: &Database) -> Result<(), Fault> {
    let transaction = database.begin_write()?;
    drop(Tables::open(&transaction)?);
    Ok(transaction.commit()?)
}

fn closed() -> CallError {
    unusable("the store is closed")
}
