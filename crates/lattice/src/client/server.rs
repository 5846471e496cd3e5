//! The address of a NATS server, in every form in which people write one.
//!
//! `host`, `host:port`, `::1`, `[::1]:4222`, each with `nats://` or `tls://` before it and `user:password@` or `token@`
//! before the host. The one parser of hosts, `wash` and providers. Pure; resolves no names. Invariant: what is shown of an
//! address, in whatever way and also in an error, has no user, no password and no token.

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;

/// The port of NATS where nobody says otherwise.
pub const DEFAULT_PORT: u16 = 4222;

/// The address of one server.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    tls: bool,
    login: Option<String>,
    host: String,
    port: u16,
}

/// What is wrong with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressProblem {
    /// Nothing is there.
    #[error("no host is named")]
    NoHost,
    /// A scheme that is none of ours.
    #[error("only `nats://` and `tls://` are spoken")]
    Scheme,
    /// What stands after the last colon.
    #[error("its port is no number from 1 to 65535")]
    Port,
    /// A path, a query or a fragment.
    #[error("something follows the port")]
    Rest,
    /// Blanks, control characters, brackets that do not match.
    #[error("its host is none")]
    Host,
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is not an address of a NATS server: {problem}")]
pub struct AddressError {
    /// The text, without anything that may be a secret.
    pub shown: String,
    /// What is wrong with it.
    pub problem: AddressProblem,
}

impl Server {
    /// Reads an address; `port` is that of an address which brings none.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn parse(text: &str, port: u16) -> Result<Self, AddressError> {
        Self::read(text.trim(), port).map_err(|problem| AddressError { shown: shown(text), problem })
    }

    fn read(text: &str, port: u16) -> Result<Self, AddressProblem> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("nats", text));
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "nats" => false,
            "tls" => true,
            _ => return Err(AddressProblem::Scheme),
        };
        // A password may hold whatever else an address is made of, so what stands before the last `@` is cut off first.
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login).filter(|login| !login.is_empty()), place),
            None => (None, rest),
        };
        let place = place.strip_suffix('/').unwrap_or(place);
        if place.contains(['/', '?', '#']) {
            return Err(AddressProblem::Rest);
        }
        let (host, own_port) = split_port(place)?;
        let port = match own_port {
            Some(text) => text.parse().map_err(|_| AddressProblem::Port)?,
            None => port,
        };
        if port == 0 {
            return Err(AddressProblem::Port);
        }
        Ok(Self { tls, login: login.map(str::to_owned), host: host.to_ascii_lowercase(), port })
    }

    /// Whether TLS is asked for by the address itself.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// The host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether user and password, or a token, stand in the address.
    #[must_use]
    pub fn has_login(&self) -> bool {
        self.login.is_some()
    }

    /// Whether only programs of this machine can be meant.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    /// Whether both name one place: `localhost` and the loopback addresses are one.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        let hosts = self.host == other.host || (self.is_loopback() && other.is_loopback());
        hosts && self.port == other.port
    }

    /// The address for a client library, with user and password in it, escaped where they must be. A secret.
    #[must_use]
    pub fn url(&self) -> String {
        let Some(login) = &self.login else { return self.to_string() };
        let escaped = login.splitn(2, ':').map(|part| escape(&unescape(part))).collect::<Vec<_>>().join(":");
        format!("{}://{escaped}@{}:{}", self.scheme(), self.bracketed(), self.port)
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "tls" } else { "nats" }
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

/// `nats://host:port`.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme(), self.bracketed(), self.port)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Host and port of `host`, `host:port`, `::1`, `[::1]`, `[::1]:port`.
fn split_port(place: &str) -> Result<(&str, Option<&str>), AddressProblem> {
    let is_v6 = |host: &str| host.parse::<std::net::Ipv6Addr>().is_ok();
    if let Some(rest) = place.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(AddressProblem::Host)?;
        if !is_v6(host) {
            return Err(AddressProblem::Host);
        }
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(AddressProblem::Rest),
        };
    }
    if is_v6(place) {
        return Ok((place, None));
    }
    let (host, port) = place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port)));
    match host {
        "" => Err(AddressProblem::NoHost),
        host if host.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c)) => Ok((host, port)),
        _ => Err(AddressProblem::Host),
    }
}

/// A text that should be an address, as it may be shown: without what stands before the last `@`, and cleaned.
pub(super) fn shown(text: &str) -> String {
    let is_scheme = |scheme: &str| scheme.chars().all(|c| c.is_ascii_alphanumeric());
    let (scheme, rest) = match text.trim().split_once("://").filter(|(scheme, _)| is_scheme(scheme)) {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text.trim()),
    };
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let clean = |c: char| if c.is_control() { '\u{FFFD}' } else { c };
    format!("{scheme}{place}").chars().map(clean).take(256).collect()
}

/// Servers of one NATS: any of them will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers(Vec<Server>);

impl Servers {
    /// Reads addresses joined by commas. A comma belongs to a password where an `@` follows before the next one begins a
    /// scheme of its own; write such a comma as `%2C`.
    ///
    /// # Errors
    /// [`AddressError`] for the first that is none.
    pub fn parse(list: &str, port: u16) -> Result<Self, AddressError> {
        let texts = list.split(',').map(str::trim).filter(|text| !text.is_empty());
        let servers = texts.map(|text| Server::parse(text, port)).collect::<Result<Vec<_>, _>>()?;
        if servers.is_empty() {
            return Err(AddressError { shown: shown(list), problem: AddressProblem::NoHost });
        }
        Ok(Self(servers))
    }

    /// The addresses.
    #[must_use]
    pub fn all(&self) -> &[Server] {
        &self.0
    }

    /// The one address, when there is just one.
    #[must_use]
    pub fn single(&self) -> Option<&Server> {
        match self.0.as_slice() {
            [server] => Some(server),
            _ => None,
        }
    }

    /// Every address for a client library. Secrets.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.0.iter().map(Server::url).collect()
    }
}

impl From<Server> for Servers {
    fn from(server: Server) -> Self {
        Self(vec![server])
    }
}

/// The addresses as they may be shown, joined by commas.
impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> = self.0.iter().map(Server::to_string).collect();
        f.write_str(&shown.join(", "))
    }
}

/// Percent-encodes what may not stand before the `@` of an address.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(char::from(byte)),
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// Undoes percent-encoding; what is none stays as it is.
pub(super) fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => HEXLOWER_PERMISSIVE.decode(&[*high, *low]).ok(),
            _ => None,
        };
        match escaped {
            Some(decoded) => {
                bytes.extend(decoded);
                rest = &rest[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, AddressProblem> {
        Server::parse(text, 18230).map(|server| server.to_string()).map_err(|error| error.problem)
    }

    #[test]
    fn every_form_is_read_and_the_port_beside_it_fills_in() {
        for (text, shown) in [
            ("localhost", "nats://localhost:18230"),
            ("LOCALHOST:4222", "nats://localhost:4222"),
            ("::1", "nats://[::1]:18230"),
            ("[::1]", "nats://[::1]:18230"),
            ("[::1]:4222", "nats://[::1]:4222"),
            ("nats://[::1]", "nats://[::1]:18230"),
            ("tls://[::1]:1/", "tls://[::1]:1"),
            ("tls://u:p@localhost", "tls://localhost:18230"),
            ("TLS://u:p@[fe80::1]:5", "tls://[fe80::1]:5"),
            (" nats.example.com:65535 ", "nats://nats.example.com:65535"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(shown), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_kind() {
        use AddressProblem::{Host, NoHost, Port, Rest, Scheme};
        for (text, problem) in [
            ("", NoHost),
            ("nats://", NoHost),
            ("u:p@", NoHost),
            (":4222", NoHost),
            ("http://h", Scheme),
            ("ws://h", Scheme),
            ("h:0", Port),
            ("h:65536", Port),
            ("h:", Port),
            ("h:a", Port),
            ("h:1:2", Port),
            ("h/x", Rest),
            ("h?x", Rest),
            ("[::1]x", Rest),
            ("[::1", Host),
            ("[h]", Host),
            ("[fe80::1%eth0]:4222", Host),
            ("::1%40]:4222", NoHost),
            ("a b", Host),
            ("a\u{1b}[2J", Host),
        ] {
            assert_eq!(read(text), Err(problem), "{text:?}");
        }
        assert_eq!(Server::parse("h", 0).map_err(|error| error.problem), Err(Port));
    }

    #[test]
    fn passwords_reach_the_server_as_they_are_and_nobody_else() {
        for (text, url) in [
            ("u:p@h", "nats://u:p@h:4222"),
            ("tls://u:p@ss/w#?:@h", "tls://u:p%40ss%2Fw%23%3F%3A@h:4222"),
            ("u:p%40ss@h", "nats://u:p%40ss@h:4222"),
            ("t0ken@h", "nats://t0ken@h:4222"),
        ] {
            let server = Server::parse(text, 4222).expect("an address");
            assert_eq!(server.url(), url);
            assert!(server.has_login());
            assert_eq!(format!("{server:?}"), server.to_string());
            assert!(!server.to_string().contains('p'), "{server}");
        }
        for text in ["tls://u:s3cr3t/@nowhere:x", "u:s3cr3t@h://x", "http://u:s3cr3t@h"] {
            let error = Server::parse(text, 1).expect_err("no address");
            assert!(!error.to_string().contains("s3cr3t"), "{error}");
            assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
        }
    }

    #[test]
    fn several_servers_are_joined_by_commas() {
        let servers = Servers::parse("a, b:5000,nats://u:p@c", 4333).expect("addresses");
        assert_eq!(servers.to_string(), "nats://a:4333, nats://b:5000, nats://c:4333");
        assert_eq!(servers.urls()[2], "nats://u:p@c:4333");
        assert!(servers.single().is_none());
        assert!(Servers::parse(" , ", 1).is_err());
    }

    #[test]
    fn names_of_this_machine_are_one_place() {
        let of = |text: &str| Server::parse(text, 4222).expect("an address");
        assert!(of("localhost").is_same_place(&of("127.0.0.1")) && of("::1").is_same_place(&of("localhost:4222")));
        assert!(
            !of("localhost").is_same_place(&of("localhost:4223")) && !of("10.1.1.1").is_same_place(&of("10.1.1.2"))
        );
    }
}
