//! A host inside the test process: the same library that `wash-host` runs, with a stop that is awaited.

use std::collections::BTreeMap;

use host::{Host, HostConfig};
use tokio::{sync::oneshot, task::JoinHandle};

/// The providers a test host has compiled in.
pub const BUILTINS: &[provider_sdk::Builtin] = &[provider_httpserver::BUILTIN, provider_keyvalue_redb::BUILTIN];

/// A running host.
pub struct InProcess {
    session_refusals: Box<dyn Fn() -> BTreeMap<&'static str, u64> + Send + Sync>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl InProcess {
    /// Starts a host.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(config: HostConfig) -> Self {
        let host = Box::pin(Host::start(config, BUILTINS)).await.expect("a host starts");
        let session_refusals = Box::new(host.session_refusals());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            host.run(async {
                let _ = stopped.await; // sent, or dropped with the test
            })
            .await;
        });
        Self { session_refusals, stop: Some(stop), task }
    }

    /// Which handshakes and batches it refused so far: a count for each code.
    #[must_use]
    pub fn session_refusals(&self) -> BTreeMap<&'static str, u64> {
        (self.session_refusals)()
    }

    /// Stops it and waits until everything it held is released.
    ///
    /// # Panics
    /// When it panicked.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        (&mut self.task).await.expect("a host does not panic");
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.task.abort();
    }
}
