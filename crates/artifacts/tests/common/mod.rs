//! What the tests of this crate share: a server that answers whatever a test wants, and artifacts to serve.
#![allow(dead_code, unused_imports, reason = "every test file uses its part")]

mod server;
mod shelf;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use artifacts::{
    ArtifactStore, Cache, CredentialBook, FetchError, FetchOptions, Fetched, Progress, Reference, Registry,
    RegistryOptions, Silent, Timeouts,
};

use data_encoding::BASE64;

pub use server::{Answer, Content, Seen, Server};
pub use shelf::{Shelf, ranged, wasm};

/// Options for a registry that answers: pauses are short, and a machine that is busy is no reason to fail.
pub fn options(server: &Server) -> RegistryOptions {
    RegistryOptions {
        insecure: vec![server.authority()],
        docker_config: false,
        timeouts: Timeouts {
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_secs(1),
            ..Timeouts::default()
        },
        ..RegistryOptions::default()
    }
}

/// The same for one that hangs, which is left soon.
pub fn hurried(server: &Server) -> RegistryOptions {
    let options = options(server);
    RegistryOptions { timeouts: Timeouts { idle: Duration::from_secs(1), ..options.timeouts }, ..options }
}

pub fn registry(server: &Server) -> Registry {
    Registry::new(options(server)).expect("a client")
}

pub fn registry_as(server: &Server, credentials: artifacts::Credentials) -> Registry {
    let book = CredentialBook::new().with(&server.authority(), credentials);
    Registry::new(RegistryOptions { credentials: book, ..options(server) }).expect("a client")
}

/// `shelf` behind a challenge for this `user:password`.
pub fn wants_basic(shelf: Shelf, pair: &'static str) -> impl Fn(&Seen) -> Answer {
    let expected = format!("Basic {}", BASE64.encode(pair.as_bytes()));
    move |seen| match seen.header("authorization") {
        Some(shown) if shown == expected => shelf.answer(seen),
        _ => Answer::new(401, "").with("www-authenticate", "Basic realm=\"x\""),
    }
}

/// A store with a cache of its own.
pub struct Store {
    pub store: ArtifactStore,
    pub directory: tempfile::TempDir,
}

impl Store {
    pub fn new(registry: Registry) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let cache = Cache::open(directory.path(), 1 << 30).expect("a cache");
        Self { store: ArtifactStore::new(registry, cache), directory }
    }

    pub fn of(server: &Server) -> Self {
        Self::new(registry(server))
    }

    pub async fn fetch(&self, reference: &Reference) -> Result<Fetched, FetchError> {
        self.store.fetch(reference, &FetchOptions::default(), &Silent).await
    }

    pub async fn refusal(&self, reference: &Reference) -> FetchError {
        self.fetch(reference).await.map(|fetched| fetched.origin).expect_err("it is refused")
    }
}

/// Counts what it is told.
#[derive(Default)]
pub struct Counted {
    pub bytes: AtomicU64,
    pub total: Mutex<Option<u64>>,
    pub finished: AtomicU64,
}

impl Progress for Counted {
    fn start(&self, _what: &str, total: Option<u64>) {
        self.bytes.store(0, Ordering::SeqCst);
        *self.total.lock().expect("no panics") = total;
    }
    fn advance(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
    }
    fn finish(&self) {
        self.finished.fetch_add(1, Ordering::SeqCst);
    }
}

/// Every level of an error in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
