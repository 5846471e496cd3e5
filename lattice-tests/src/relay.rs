//! A TCP relay that can be cut: what stands between a host and its NATS server when a test wants faults.
//!
//! Three ways to be broken: refused (connections end, new ones are closed at once), silent (connections stay, nothing
//! passes: what a pulled cable looks like), slow (every piece waits).

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// How connections pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    Open { delay: Duration },
    Refused,
    Silent,
}

/// A relay; its connections end with the value.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    path: watch::Sender<Path>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Listens on a port of its own and connects every client to `target`.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (path, changes) = watch::channel(Path::Open { delay: Duration::ZERO });
        Self { address, path, task: tokio::spawn(accept(listener, target, changes)) }
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections and refuses new ones.
    pub fn cut(&self) {
        self.path.send_replace(Path::Refused);
    }

    /// Lets nothing pass, without telling anybody.
    pub fn silence(&self) {
        self.path.send_replace(Path::Silent);
    }

    /// Makes everything wait this long.
    pub fn delay(&self, delay: Duration) {
        self.path.send_replace(Path::Open { delay });
    }

    /// Lets everything pass again. What was held back while silent is delivered.
    pub fn heal(&self) {
        self.path.send_replace(Path::Open { delay: Duration::ZERO });
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, path: watch::Receiver<Path>) {
    let mut connections = JoinSet::new(); // aborted with this task
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                if *path.borrow() != Path::Refused {
                    connections.spawn(connect(client, target, path.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connect(client: TcpStream, target: SocketAddr, path: watch::Receiver<Path>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut cut = path.clone();
    tokio::select! { // either direction ending, or a cut, ends both
        () = pass(from_client, to_server, path.clone()) => {}
        () = pass(from_server, to_client, path) => {}
        _ = cut.wait_for(|path| *path == Path::Refused) => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut path: watch::Receiver<Path>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        let Ok(open) = path.wait_for(|path| *path != Path::Silent).await.map(|path| *path) else { return };
        if let Path::Open { delay } = open
            && !delay.is_zero()
        {
            tokio::time::sleep(delay).await; // this is the fault itself, not a wait for something
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    /// A server that says back what it hears.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mut from, mut to) = stream.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from, &mut to).await });
            }
        });
        address
    }

    async fn round_trip(stream: &mut TcpStream) -> std::io::Result<()> {
        stream.write_all(b"ping").await?;
        stream.read_exact(&mut [0; 4]).await.map(drop)
    }

    #[tokio::test]
    async fn a_cut_ends_connections_and_refuses_new_ones_until_it_heals() {
        let relay = Relay::start(echo().await).await;
        let mut stream = TcpStream::connect(relay.address()).await.expect("a connection");
        round_trip(&mut stream).await.expect("it passes");

        relay.cut();
        assert!(round_trip(&mut stream).await.is_err());
        let mut refused = TcpStream::connect(relay.address()).await.expect("accepted, then closed");
        assert!(round_trip(&mut refused).await.is_err());

        relay.heal();
        let mut again = TcpStream::connect(relay.address()).await.expect("a connection");
        round_trip(&mut again).await.expect("it passes again");
    }

    #[tokio::test]
    async fn silence_holds_back_without_ending_and_delay_slows() {
        let relay = Relay::start(echo().await).await;
        let mut stream = TcpStream::connect(relay.address()).await.expect("a connection");
        relay.silence();
        stream.write_all(b"ping").await.expect("nobody tells the client");
        let mut answer = [0; 4];
        assert!(timeout(Duration::from_millis(50), stream.read_exact(&mut answer)).await.is_err());
        relay.heal();
        stream.read_exact(&mut answer).await.expect("what was held back arrives");

        relay.delay(Duration::from_millis(30));
        let started = Instant::now();
        round_trip(&mut stream).await.expect("it passes");
        assert!(started.elapsed() >= Duration::from_millis(60), "both directions wait");
    }
}
