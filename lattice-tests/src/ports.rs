//! Free ports for links and servers.

use std::net::SocketAddr;

/// A loopback address nobody listens on, and that no outgoing connection will take.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_address() -> SocketAddr {
    xtask::ports::free().expect("a free port")
}
