//! HTTP requests without a pause from several threads, while something happens to the lattice.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::http;

const THREADS: usize = 4;
const TIMEOUT: Duration = Duration::from_secs(5);

/// A running load.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Tally>>,
}

/// What became of the requests.
#[derive(Debug, Default)]
pub(super) struct Tally {
    times: Vec<Duration>,
    /// Why, for each that was not answered with 200.
    pub failures: Vec<String>,
}

impl Load {
    pub fn start(address: SocketAddr, path: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = |_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                let mut tally = Tally::default();
                while !stop.load(Ordering::Relaxed) {
                    tally.ask(address, path);
                }
                tally
            })
        };
        Self { threads: (0..THREADS).map(thread).collect(), stop }
    }

    /// Ends it and adds up.
    pub fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Tally::default();
        for thread in self.threads {
            let tally = thread.join().expect("a load thread does not panic");
            sum.times.extend(tally.times);
            sum.failures.extend(tally.failures);
        }
        sum
    }
}

impl Tally {
    /// `count` requests, one after the other.
    pub fn of_single_requests(address: SocketAddr, path: &str, count: usize) -> Self {
        let mut tally = Self::default();
        (0..count).for_each(|_| tally.ask(address, path));
        tally
    }

    fn ask(&mut self, address: SocketAddr, path: &str) {
        let started = Instant::now();
        match http::get(address, path, TIMEOUT) {
            Ok(response) if response.status == 200 => self.times.push(started.elapsed()),
            Ok(response) => self.failures.push(format!("status {}: {}", response.status, response.body.trim())),
            Err(error) => self.failures.push(error.to_string()),
        }
    }

    /// Number of requests.
    pub fn requests(&self) -> usize {
        self.times.len() + self.failures.len()
    }

    /// Median time of an answered request.
    pub fn median(&self) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        sync::atomic::AtomicUsize,
    };

    use super::*;
    use crate::demo::wait::until;

    /// A server that answers every other connection with 503, and how many it has answered.
    fn half_broken_server() -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let answered = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&answered);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let _ = stream.read(&mut [0; 1024]);
                let status = if count.load(Ordering::Relaxed).is_multiple_of(2) { "200 OK" } else { "503 No" };
                let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx");
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        (address, answered)
    }

    #[test]
    fn answers_and_failures_are_told_apart() {
        let (address, _) = half_broken_server();
        let tally = Tally::of_single_requests(address, "/", 10);
        assert_eq!((tally.requests(), tally.failures.len()), (10, 5));
        assert_eq!(tally.failures[0], "status 503: x");
        assert!(tally.median() > Duration::ZERO);
    }

    #[test]
    fn a_load_goes_on_until_it_is_stopped_and_counts_everything() {
        let (address, answered) = half_broken_server();
        let load = Load::start(address, "/");
        let wait = until("20 answers", Duration::from_secs(10), || match answered.load(Ordering::Relaxed) {
            20.. => Ok(()),
            fewer => Err(format!("{fewer}")),
        });
        let tally = load.stop();
        wait.expect("the load runs");
        assert!(tally.requests() >= 20 && tally.failures.len() >= 10, "{tally:?}");
    }
}
