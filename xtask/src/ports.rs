//! Free TCP ports on the loopback address, for servers that are started with a port rather than asked for one.
//!
//! Taken from below the range that operating systems use for outgoing connections: a port handed out here is not
//! snatched by somebody's client before its server listens, nor while the server is stopped for a moment. Within one
//! process no port is handed out twice.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

const FIRST: u32 = 12_000;
const COUNT: u32 = 20_000;

/// The next free one.
///
/// # Errors
/// When none of the range is free.
pub fn free() -> io::Result<SocketAddr> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes that run at the same time begin at different places.
    let start = process::id().wrapping_mul(499);
    for _ in 0..COUNT {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = u16::try_from(FIRST + offset).expect("the range ends below 65536");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_and_one_in_use_is_passed_over() {
        let first = free().expect("a port");
        let _held = TcpListener::bind(first).expect("it is free");
        let others: Vec<_> = (0..100).map(|_| free().expect("a port")).collect();
        assert!(!others.contains(&first));
        assert_eq!(others.iter().collect::<std::collections::HashSet<_>>().len(), others.len());
        assert!(others.iter().all(|address| (12_000..32_000).contains(&address.port())));
    }
}
