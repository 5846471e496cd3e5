//! Where the admin pages are served: an address, or a port of the loopback interface.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};

/// An address for the admin pages. A port alone is one of `127.0.0.1`: whoever wants others to see the pages says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdminAddress(pub SocketAddr);

/// What was written is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is neither a port nor an address with a port, such as `9090`, `0.0.0.0:9090` or `[::1]:9090`")]
pub struct NotAnAddress {
    text: String,
}

impl FromStr for AdminAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let port = text.strip_prefix(':').unwrap_or(text).parse::<u16>().ok();
        let local = port.map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
        let address = local.or_else(|| text.parse().ok());
        address.map(Self).ok_or_else(|| NotAnAddress { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_local() {
        for (text, expected) in [
            ("9090", "127.0.0.1:9090"),
            (":9090", "127.0.0.1:9090"),
            (" 0.0.0.0:9090 ", "0.0.0.0:9090"),
            ("[::1]:9090", "[::1]:9090"),
        ] {
            assert_eq!(text.parse(), Ok(AdminAddress(expected.parse().expect("an address"))), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_an_example() {
        for text in ["", "x", "65536", "1.2.3.4", "::1", "host:80"] {
            let error = text.parse::<AdminAddress>().expect_err(text);
            assert!(error.to_string().contains("`0.0.0.0:9090`"), "{error}");
        }
    }
}
