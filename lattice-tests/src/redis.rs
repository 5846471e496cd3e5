//! A real redis-server on a port of its own, that can be killed and started again.

use std::{env, net::SocketAddr, path::PathBuf};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use test_needs::skip;

use crate::{Guarded, eventually, free_address};

/// A server; it ends with the value.
#[derive(Debug)]
pub struct Redis {
    program: PathBuf,
    dir: TempDir,
    address: SocketAddr,
    process: Option<Guarded>,
}

impl Redis {
    /// Starts one; none when this machine has no redis-server, which is then said.
    ///
    /// # Panics
    /// When there is one but it does not work.
    pub async fn start() -> Option<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let Some(program) = env::split_paths(&path).map(|dir| dir.join("redis-server")).find(|file| file.is_file())
        else {
            skip("a redis-server");
            return None;
        };
        let dir = tempfile::tempdir().expect("a directory");
        let mut server = Self { program, dir, address: free_address(), process: None };
        server.start_again().await;
        Some(server)
    }

    /// Its address as links take it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Starts it where it was, empty.
    pub async fn start_again(&mut self) {
        let port = self.address.port().to_string();
        let dir = self.dir.path().as_os_str().to_owned();
        let mut args: Vec<_> = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--dir"].map(Into::into).into();
        args.push(dir);
        self.process = Some(Guarded::start(&self.program, &args, &[], &self.dir.path().join("log")));
        eventually("an answer of redis-server", || ping(self.address)).await;
    }

    /// Kills it.
    pub async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await;
        }
    }
}

async fn ping(address: SocketAddr) -> Result<(), String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"PING\r\n").await?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    match exchange.await {
        Ok(answer) if answer == *b"+PONG" => Ok(()),
        Ok(answer) => Err(format!("{answer:?}")),
        Err(error) => Err(error.to_string()),
    }
}
