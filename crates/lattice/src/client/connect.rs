//! Connecting to NATS: addresses, credentials, and how often to try again.
//!
//! Owns every setting of a NATS connection, so that hosts and tools behave alike. Knows nothing of what is sent.
//! Invariants: without [`NatsOptions::retry`] connecting ends within [`NatsOptions::connect_timeout`] and names the
//! address; with it, and after every loss, trying never ends and never comes more often than the back-off allows.

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_nats::{ConnectErrorKind, ConnectOptions, Event, ServerAddr};
use claims::{KeyKind, KeyPair};

use super::{
    ConnectError, Creds, Denials, Forbidden, Server,
    server::{DEFAULT_PORT, escape, shown, unescape},
    tls::{TlsProblem, is_denied},
};

/// Longest wait between two attempts.
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(2);
/// Wait before the second attempt; it doubles from there.
const FIRST_RECONNECT_DELAY: Duration = Duration::from_millis(100);
/// A broker that answers none of two pings in a row is gone.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// How to reach NATS and who to be there.
#[derive(Clone)]
pub struct NatsOptions {
    /// Addresses, `nats://host:port` or `host:port`; any of them will do. `user:password@` or `token@` before the host
    /// counts when no other credentials are given.
    pub urls: Vec<String>,
    /// User JWT; needs [`NatsOptions::seed`].
    pub jwt: Option<String>,
    /// User seed (`SU…`): signs the server's challenge, with the JWT or as a bare nkey.
    pub seed: Option<String>,
    /// File with a user JWT and its seed, in place of the two above.
    pub creds_file: Option<PathBuf>,
    /// User name; needs [`NatsOptions::password`].
    pub user: Option<String>,
    /// Password of the user.
    pub password: Option<String>,
    /// Token, in place of a user.
    pub token: Option<String>,
    /// Refuse a connection without TLS.
    pub tls: bool,
    /// File with certificates (PEM) of the authorities that the server is trusted by, instead of the system's.
    pub tls_ca: Option<PathBuf>,
    /// File with our own certificate (PEM); needs [`NatsOptions::tls_key`].
    pub tls_cert: Option<PathBuf>,
    /// File with the key of our certificate (PEM).
    pub tls_key: Option<PathBuf>,
    /// Name of this connection in the server's listings.
    pub name: String,
    /// Where replies go; an account may restrict its users to a prefix of their own.
    pub inbox_prefix: String,
    /// Time for one attempt, and for connecting at all unless `retry` is set.
    pub connect_timeout: Duration,
    /// Return at once and keep trying in the background, for as long as it takes.
    pub retry: bool,
}

impl Default for NatsOptions {
    fn default() -> Self {
        Self {
            urls: vec!["nats://127.0.0.1:4222".to_owned()],
            jwt: None,
            seed: None,
            creds_file: None,
            user: None,
            password: None,
            token: None,
            tls: false,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
            name: "lattice".to_owned(),
            inbox_prefix: "_INBOX".to_owned(),
            connect_timeout: Duration::from_secs(2),
            retry: false,
        }
    }
}

impl fmt::Debug for NatsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let redacted = |secret: &Option<String>| secret.as_ref().map(|_| "[redacted]");
        f.debug_struct("NatsOptions")
            .field("urls", &self.shown_urls())
            .field("jwt", &redacted(&self.jwt))
            .field("seed", &redacted(&self.seed))
            .field("creds_file", &self.creds_file)
            .field("user", &self.user)
            .field("password", &redacted(&self.password))
            .field("token", &redacted(&self.token))
            .field("tls", &self.tls)
            .field("tls_ca", &self.tls_ca)
            .field("tls_cert", &self.tls_cert)
            .field("name", &self.name)
            .field("inbox_prefix", &self.inbox_prefix)
            .field("connect_timeout", &self.connect_timeout)
            .field("retry", &self.retry)
            .finish()
    }
}

impl NatsOptions {
    /// The first address, with user and password or token in it when they are given beside it: for whoever is told an
    /// address and nothing else.
    #[must_use]
    pub fn url_with_login(&self) -> String {
        let Some(url) = self.urls.first() else { return String::new() };
        let (scheme, rest) = url.split_once("://").unwrap_or(("nats", url));
        let login = match (&self.user, &self.token) {
            (Some(user), _) => format!("{}:{}", escape(user), escape(self.password.as_deref().unwrap_or_default())),
            (None, Some(token)) => escape(token),
            (None, None) => return url.clone(),
        };
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        format!("{scheme}://{login}@{host}")
    }

    /// The addresses as they may be shown: without user and password.
    #[must_use]
    pub fn shown_urls(&self) -> String {
        self.urls.iter().map(|url| shown(url)).collect::<Vec<_>>().join(", ")
    }
}

/// What happens to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// It is there, for the first time or again. Subscriptions are in effect; JetStream may have come back empty.
    Connected,
    /// It is lost; trying again has begun.
    Disconnected,
    /// The server does not let us use a subject.
    Forbidden(Forbidden),
    /// An attempt failed, the server complained, or messages were dropped.
    Trouble(String),
}

/// Connects to NATS.
///
/// # Errors
/// [`ConnectError`]; with [`NatsOptions::retry`] only for settings that cannot work.
pub async fn connect(options: &NatsOptions) -> Result<async_nats::Client, ConnectError> {
    connect_observed(options, |_| {}).await
}

/// Connects to NATS and remembers what the server forbids.
///
/// # Errors
/// As [`connect`].
pub async fn connect_watched(options: &NatsOptions) -> Result<(async_nats::Client, Denials), ConnectError> {
    let denials = Denials::default();
    let noted = denials.clone();
    let client = connect_observed(options, move |event| {
        if let ConnectionEvent::Forbidden(forbidden) = event {
            noted.note(forbidden);
        }
    })
    .await?;
    Ok((client, denials))
}

/// Connects to NATS and tells `observer` what becomes of the connection, for as long as it lives.
///
/// # Errors
/// As [`connect`].
pub async fn connect_observed(
    options: &NatsOptions,
    observer: impl Fn(ConnectionEvent) + Send + Sync + 'static,
) -> Result<async_nats::Client, ConnectError> {
    let addresses = addresses(options)?;
    let observer = Arc::new(observer);
    let settings = with_tls(credentials(ConnectOptions::new(), options, &addresses)?, options)?
        .name(&options.name)
        .custom_inbox_prefix(&options.inbox_prefix)
        .require_tls(options.tls || options.tls_ca.is_some() || options.tls_cert.is_some())
        .connection_timeout(options.connect_timeout)
        .ping_interval(PING_INTERVAL)
        .max_reconnects(None)
        .reconnect_delay_callback(back_off(addresses.len()))
        .event_callback(move |event| {
            let observer = Arc::clone(&observer);
            async move {
                if let Some(event) = translate(&event) {
                    observer(event);
                }
            }
        });
    if options.retry {
        return settings.retry_on_initial_connect().connect(addresses).await.map_err(|error| failed(options, error));
    }
    match tokio::time::timeout(options.connect_timeout, settings.connect(addresses)).await {
        Ok(connected) => connected.map_err(|error| failed(options, error)),
        Err(_) => Err(ConnectError::TimedOut { urls: options.shown_urls(), after: options.connect_timeout }),
    }
}

fn addresses(options: &NatsOptions) -> Result<Vec<ServerAddr>, ConnectError> {
    if options.urls.is_empty() {
        return Err(ConnectError::Address { url: String::new(), reason: "no address is given".to_owned() });
    }
    let parse = |url: &String| {
        let server = Server::parse(url, DEFAULT_PORT)
            .map_err(|error| ConnectError::Address { url: error.shown, reason: error.problem.to_string() })?;
        let refused = |error: std::io::Error| ConnectError::Address { url: shown(url), reason: error.to_string() };
        server.url().parse().map_err(refused)
    };
    options.urls.iter().map(parse).collect()
}

fn credentials(
    settings: ConnectOptions,
    options: &NatsOptions,
    addresses: &[ServerAddr],
) -> Result<ConnectOptions, ConnectError> {
    let from_file = match &options.creds_file {
        Some(path) => {
            Some(Creds::read(path).map_err(|source| ConnectError::CredentialsFile { path: path.clone(), source })?)
        }
        None => None,
    };
    let (jwt, seed) = match &from_file {
        Some(creds) => (creds.jwt.as_ref(), Some(&creds.seed)),
        None => (options.jwt.as_ref(), options.seed.as_ref()),
    };
    match (jwt, seed) {
        (None, None) => match (&options.user, &options.password, &options.token) {
            (Some(user), password, _) => {
                Ok(settings.user_and_password(user.clone(), password.clone().unwrap_or_default()))
            }
            (None, _, Some(token)) => Ok(settings.token(token.clone())),
            (None, _, None) => Ok(credentials_of_address(settings, addresses)),
        },
        (Some(_), None) => Err(ConnectError::SeedMissing),
        (None, Some(seed)) => {
            user_key(seed)?;
            Ok(settings.nkey(seed.clone()))
        }
        (Some(jwt), Some(seed)) => {
            let key = Arc::new(user_key(seed)?);
            Ok(settings.jwt(jwt.clone(), move |nonce| {
                let signature = key.sign(&nonce).to_vec();
                async move { Ok(signature) }
            }))
        }
    }
}

/// Files are looked at here, because the client library only would when it connects, again and again.
fn with_tls(mut settings: ConnectOptions, options: &NatsOptions) -> Result<ConnectOptions, ConnectError> {
    for path in [&options.tls_ca, &options.tls_cert, &options.tls_key].into_iter().flatten() {
        std::fs::File::open(path).map_err(|source| ConnectError::TlsFile { path: path.clone(), source })?;
    }
    if let Some(authorities) = &options.tls_ca {
        settings = settings.add_root_certificates(authorities.clone());
    }
    match (&options.tls_cert, &options.tls_key) {
        (Some(certificate), Some(key)) => Ok(settings.add_client_certificate(certificate.clone(), key.clone())),
        (None, None) => Ok(settings),
        _ => Err(ConnectError::TlsPair),
    }
}

/// The client library does not look at what stands before the `@` of an address: user and password, or a token.
fn credentials_of_address(settings: ConnectOptions, addresses: &[ServerAddr]) -> ConnectOptions {
    let named = addresses.iter().find_map(|address| Some((address.username()?, address.password())));
    match named {
        Some((user, Some(password))) => settings.user_and_password(unescape(user), unescape(password)),
        Some((token, None)) => settings.token(unescape(token)),
        None => settings,
    }
}

fn user_key(seed: &str) -> Result<KeyPair, ConnectError> {
    let key = KeyPair::from_seed(seed).map_err(|source| ConnectError::Seed { reason: source.to_string() })?;
    match key.kind() {
        KeyKind::User => Ok(key),
        _ => Err(ConnectError::Seed { reason: "it is not the seed of a user (`SU…`)".to_owned() }),
    }
}

/// No wait until every address has had its first attempt, then [`reconnect_delay`].
fn back_off(addresses: usize) -> impl Fn(usize) -> Duration + Send + Sync + 'static {
    let attempts = AtomicUsize::new(0);
    move |attempt| {
        if attempts.fetch_add(1, Ordering::Relaxed) < addresses {
            return Duration::ZERO;
        }
        reconnect_delay(attempt, uuid::Uuid::new_v4().as_u128())
    }
}

/// Doubles from the first delay to the longest; of that, between a half and the whole as `random` wants it, so that a
/// fleet does not come back in one instant.
fn reconnect_delay(attempt: usize, random: u128) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    let longest = FIRST_RECONNECT_DELAY.saturating_mul(2u32.pow(doublings)).min(MAX_RECONNECT_DELAY);
    let half = longest / 2;
    let spread = u128::from(u64::try_from(half.as_micros()).unwrap_or(u64::MAX)) + 1;
    half + Duration::from_micros(u64::try_from(random % spread).unwrap_or(0))
}

fn translate(event: &Event) -> Option<ConnectionEvent> {
    match event {
        Event::Connected => Some(ConnectionEvent::Connected),
        Event::Disconnected => Some(ConnectionEvent::Disconnected),
        Event::SlowConsumer(_) | Event::ServerError(_) | Event::ClientError(_) => {
            let text = event.to_string();
            Some(Forbidden::parse(&text).map_or(ConnectionEvent::Trouble(text), ConnectionEvent::Forbidden))
        }
        Event::LameDuckMode | Event::Draining | Event::Closed => None,
    }
}

fn failed(options: &NatsOptions, error: async_nats::ConnectError) -> ConnectError {
    let urls = options.shown_urls();
    match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            ConnectError::Denied { urls, source: error }
        }
        ConnectErrorKind::TimedOut => ConnectError::TimedOut { urls, after: options.connect_timeout },
        _ if is_denied(&error) => ConnectError::Denied { urls, source: error },
        _ if let Some(problem) = TlsProblem::of(&error) => ConnectError::Tls { urls, problem, source: error },
        _ => ConnectError::Unreachable { urls, source: error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_two_seconds_and_are_spread() {
        for (attempt, longest) in [(0, 100), (1, 100), (2, 200), (5, 1600), (6, 2000), (usize::MAX, 2000)] {
            let longest = Duration::from_millis(longest);
            for random in [0, 1, 777_777, u128::MAX] {
                let delay = reconnect_delay(attempt, random);
                assert!(delay >= longest / 2 && delay <= longest, "attempt {attempt}: {delay:?}");
            }
            assert_ne!(reconnect_delay(attempt, 0), reconnect_delay(attempt, 10_000));
        }
    }

    #[test]
    fn every_address_is_tried_once_without_waiting() {
        let delay = back_off(2);
        assert_eq!((delay(1), delay(2)), (Duration::ZERO, Duration::ZERO));
        assert!(delay(1) >= FIRST_RECONNECT_DELAY / 2, "the first attempt after a loss waits");
    }

    #[test]
    fn passwords_in_addresses_may_be_escaped() {
        assert_eq!(unescape(&escape("p@ss/w:%")), "p@ss/w:%");
        let (user, password) = (Some("a b".to_owned()), Some("p@w".to_owned()));
        let options = NatsOptions { urls: vec!["nats://x@h:1".into()], user, password, ..NatsOptions::default() };
        assert_eq!(options.url_with_login(), "nats://a%20b:p%40w@h:1");
        for (escaped, plain) in [("p%40ss%2fw", "p@ss/w"), ("100%", "100%"), ("%zz%4", "%zz%4"), ("", "")] {
            assert_eq!(unescape(escaped), plain);
        }
    }

    #[test]
    fn neither_debug_nor_errors_show_secrets() {
        let options = NatsOptions {
            urls: vec!["nats://user:pa55@broker:4222".into(), "u:pa55@other".into(), "plain:1".into()],
            jwt: Some("jw7".into()),
            seed: Some("SU5".into()),
            ..NatsOptions::default()
        };
        assert_eq!(options.shown_urls(), "nats://broker:4222, other, plain:1");
        let debug = format!("{options:?}");
        assert!(!debug.contains("pa55") && !debug.contains("jw7") && !debug.contains("SU5"), "{debug}");
    }
}
