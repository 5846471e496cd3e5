//! A real nats-server with JetStream, on a port of its own, that can be stopped, killed and robbed of its store.

use std::{
    ffi::OsString,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use tokio::{io::AsyncReadExt, net::TcpStream};
use xtask::nats_server;

use test_needs::skip;

use crate::{Guarded, eventually, free_address};

/// A server; it ends with the value.
#[derive(Debug)]
pub struct NatsServer {
    program: PathBuf,
    dir: TempDir,
    address: SocketAddr,
    process: Option<Guarded>,
}

impl NatsServer {
    /// Starts one; none when this machine has no nats-server, which is then said.
    ///
    /// # Panics
    /// When there is a nats-server but it does not work.
    pub async fn start() -> Option<Self> {
        let mut server = Self::prepare()?;
        server.start_again().await;
        Some(server)
    }

    /// One that has its port but does not run yet.
    ///
    /// # Panics
    /// When a nats-server was named but cannot be used.
    #[must_use]
    pub fn prepare() -> Option<Self> {
        let Some(found) = nats_server::find(None).expect("a usable nats-server") else {
            skip("a nats-server");
            return None;
        };
        let dir = tempfile::tempdir().expect("a directory");
        Some(Self { program: found.path, dir, address: free_address(), process: None })
    }

    /// Gives it a configuration from its next start on, besides address and store.
    ///
    /// # Panics
    /// When it runs.
    pub fn configure(&mut self, text: &str) {
        assert!(self.process.is_none(), "stop it first");
        fs::write(self.configuration(), text).expect("the configuration can be written");
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as clients take it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// A connection to it.
    ///
    /// # Panics
    /// When it does not accept one.
    pub async fn client(&self) -> async_nats::Client {
        async_nats::connect(self.url()).await.expect("the server accepts connections")
    }

    /// Starts it where it was, with the store it has.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start_again(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let mut args: Vec<OsString> = vec![
            "--addr".into(),
            self.address.ip().to_string().into(),
            "--port".into(),
            self.address.port().to_string().into(),
            "--jetstream".into(),
            "--store_dir".into(),
            self.store().into(),
        ];
        if self.configuration().exists() {
            args.extend(["--config".into(), self.configuration().into()]);
        }
        let mut process = Guarded::start(&self.program, &args, &[], &self.dir.path().join("nats.log"));
        let address = self.address;
        eventually("a nats-server that answers", || {
            let running = process.is_running();
            async move { if running { greeting(address).await } else { Err("it has ended".to_owned()) } }
        })
        .await;
        self.process = Some(process);
    }

    /// Stops it in order.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate().await;
        }
    }

    /// Kills it with SIGKILL.
    pub async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await;
        }
    }

    /// Removes everything JetStream has stored.
    ///
    /// # Panics
    /// When it runs.
    pub fn wipe(&mut self) {
        assert!(self.process.is_none(), "stop it first");
        if self.store().exists() {
            fs::remove_dir_all(self.store()).expect("the store can be removed");
        }
    }

    fn configuration(&self) -> PathBuf {
        Path::join(self.dir.path(), "nats.conf")
    }

    fn store(&self) -> PathBuf {
        Path::join(self.dir.path(), "store")
    }
}

/// A NATS server speaks first.
async fn greeting(address: SocketAddr) -> Result<(), String> {
    let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let mut word = [0; 5];
    stream.read_exact(&mut word).await.map_err(|error| error.to_string())?;
    if &word == b"INFO " { Ok(()) } else { Err(format!("it said {word:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of the streams, which JetStream keeps in its store.
    async fn streams(server: &NatsServer) -> Vec<String> {
        use futures_util::TryStreamExt;
        async_nats::jetstream::new(server.client().await).stream_names().try_collect().await.expect("stream names")
    }

    #[tokio::test]
    async fn a_server_comes_back_with_its_store_and_empty_after_a_wipe() {
        let Some(mut server) = NatsServer::start().await else { return };
        let jetstream = async_nats::jetstream::new(server.client().await);
        jetstream
            .create_stream(async_nats::jetstream::stream::Config { name: "KEPT".to_owned(), ..Default::default() })
            .await
            .expect("a stream");

        server.stop().await;
        assert!(greeting(server.address()).await.is_err(), "a stopped server does not answer");
        server.start_again().await;
        assert_eq!(streams(&server).await, ["KEPT"]);

        server.kill().await;
        server.wipe();
        server.start_again().await;
        assert!(streams(&server).await.is_empty());
    }
}
