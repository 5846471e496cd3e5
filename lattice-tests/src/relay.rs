//! A TCP relay that can be cut: what stands between a host and its NATS server when a test wants faults.
//!
//! Four ways to be broken: refused (connections end, new ones are closed at once), silent (connections stay, nothing
//! passes: what a pulled cable looks like), slow (everything arrives later, in both directions, and as much of it as
//! before: a long way, not a narrow one), and lossy. A TCP connection loses nothing; what loss looks like from its ends is
//! that some pieces, and all that comes behind them, arrive one retransmission timeout later. That is what lossy does.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::Instant,
};

/// How long a sender waits before it sends a lost piece again: the least that Linux waits.
const RETRANSMISSION: Duration = Duration::from_millis(200);
/// Pieces that may be on their way; then the sender is held up.
const UNDER_WAY: usize = 256;

/// How connections pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    Open(Quality),
    Refused,
    Silent,
}

/// What happens to pieces that pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Quality {
    delay: Duration,
    lost_percent: u64,
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
        let (path, changes) = watch::channel(Path::Open(Quality::default()));
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

    /// Makes everything arrive this much later, in each direction.
    pub fn delay(&self, delay: Duration) {
        self.path.send_replace(Path::Open(Quality { delay, lost_percent: 0 }));
    }

    /// Makes so many pieces of a hundred wait for their retransmission, and what comes behind them as well.
    pub fn lose(&self, percent: u64) {
        self.path.send_replace(Path::Open(Quality { delay: Duration::ZERO, lost_percent: percent }));
    }

    /// Lets everything pass again. What was held back while silent is delivered.
    pub fn heal(&self) {
        self.path.send_replace(Path::Open(Quality::default()));
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

async fn pass(from: OwnedReadHalf, to: OwnedWriteHalf, path: watch::Receiver<Path>) {
    let (pieces, arriving) = mpsc::channel(UNDER_WAY);
    tokio::join!(read(from, pieces, path.clone()), write(to, arriving, path)); // what was read is written, then both end
}

/// A piece on its way, and when it is there.
type Piece = (Instant, Vec<u8>);

async fn read(mut from: OwnedReadHalf, pieces: mpsc::Sender<Piece>, path: watch::Receiver<Path>) {
    let mut buffer = vec![0; 64 * 1024];
    let mut dice = 0_u64;
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let mut arrives = Instant::now();
        if let Path::Open(quality) = *path.borrow() {
            arrives += quality.delay;
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if (dice >> 33) % 100 < quality.lost_percent {
                arrives += RETRANSMISSION;
            }
        }
        if pieces.send((arrives, buffer[..length].to_vec())).await.is_err() {
            return;
        }
    }
}

async fn write(mut to: OwnedWriteHalf, mut pieces: mpsc::Receiver<Piece>, mut path: watch::Receiver<Path>) {
    while let Some((arrives, piece)) = pieces.recv().await {
        if arrives > Instant::now() {
            tokio::time::sleep_until(arrives).await; // this is the fault itself, not a wait for something
        }
        if path.wait_for(|path| *path != Path::Silent).await.is_err() || to.write_all(&piece).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

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

    #[tokio::test]
    async fn delay_lets_as_much_pass_as_before_and_loss_keeps_the_order() {
        let relay = Relay::start(echo().await).await;
        relay.delay(Duration::from_millis(100));
        let stream = TcpStream::connect(relay.address()).await.expect("a connection");
        let (mut from, mut to) = stream.into_split();
        let started = Instant::now();
        let writing = tokio::spawn(async move {
            for number in 0..200_u8 {
                to.write_all(&[number]).await.expect("it is taken");
                tokio::time::sleep(Duration::from_millis(1)).await; // so that each is a piece of its own
            }
            to
        });
        let mut answer = [0; 200];
        from.read_exact(&mut answer).await.expect("it passes");
        let elapsed = started.elapsed();
        assert!(elapsed >= Duration::from_millis(200), "{elapsed:?}");
        assert!(elapsed < Duration::from_secs(3), "200 pieces do not wait for each other: {elapsed:?}");

        relay.lose(20);
        let mut to = writing.await.expect("no panic");
        let started = Instant::now();
        let writing = tokio::spawn(async move {
            for number in 0..100_u8 {
                to.write_all(&[number]).await.expect("it is taken");
                tokio::time::sleep(Duration::from_millis(1)).await; // as above
            }
            to
        });
        let mut answer = [0; 100];
        from.read_exact(&mut answer).await.expect("it passes");
        assert!(answer.iter().zip(0..).all(|(one, number)| *one == number), "{answer:?}");
        assert!(started.elapsed() >= RETRANSMISSION, "something was lost: {:?}", started.elapsed());
        writing.await.expect("no panic");
    }
}
