//! Unpacking, which takes processor time in proportion to what a stranger packed.
//!
//! Invariants: few unpack at one time, so that calls keep most of the machine; nobody unpacks longer than
//! [`UNPACK_WITHIN`], nor after the host began to stop.

use std::{
    io::{self, Cursor, Read},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::sync::CancellationToken;

use super::FetchError;

/// Archives unpacked at one time.
const MAX_UNPACKING: usize = 2;
/// How long unpacking one may take.
const UNPACK_WITHIN: Duration = Duration::from_secs(60);
/// How long one waits for others.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whoever unpacks.
#[derive(Debug)]
pub struct Unpacking {
    free: Arc<Semaphore>,
    closing: CancellationToken,
}

impl Unpacking {
    pub(super) fn new(closing: CancellationToken) -> Self {
        Self { free: Arc::new(Semaphore::new(MAX_UNPACKING)), closing }
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        bytes: Bytes,
        work: impl FnOnce(Watched) -> T + Send + 'static,
    ) -> Result<T, FetchError> {
        let place = tokio::select! {
            biased;
            () = self.closing.cancelled() => return Err(FetchError::Interrupted),
            place = timeout(PATIENCE, self.free.clone().acquire_owned()) => place,
        };
        let place = place.map_err(|_| FetchError::Busy)?.map_err(|_| FetchError::Interrupted)?;
        let stream = Watched {
            stream: Cursor::new(bytes),
            closing: self.closing.clone(),
            until: Instant::now() + UNPACK_WITHIN,
        };
        let work = move || {
            let done = work(stream);
            drop(place);
            done
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| FetchError::Interrupted)
    }
}

/// The packed bytes, for as long as they may be unpacked.
pub struct Watched {
    stream: Cursor<Bytes>,
    closing: CancellationToken,
    until: Instant,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.closing.is_cancelled() {
            return Err(io::Error::other("the host is stopping"));
        }
        if Instant::now() > self.until {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("it takes longer than {UNPACK_WITHIN:?}")));
        }
        // A piece at a time, so that what is well packed is looked at often enough.
        let most = buffer.len().min(4096);
        self.stream.read(&mut buffer[..most])
    }
}
