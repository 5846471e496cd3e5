//! What bounds a listener, whatever its links say. Set at provider start (`--config-json`).

use std::time::Duration;

use provider_sdk::contracts::{LinkValueError, Values, link_values::Settings};

const KEYS: &[&str] = &[
    "max_connections",
    "max_connections_per_client",
    "header_timeout_ms",
    "max_header_bytes",
    "timeout_ms",
    "idle_ms",
    "drain_ms",
];

/// What a client may send of one stream of HTTP/2 while nobody reads it, in bytes.
pub const WINDOW: u32 = 256 << 10;
/// Connections that one client address may have at least, unless fewer are allowed for all.
const FOR_ONE: usize = 256;

/// Bounds of every listener of one provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections per address; more wait in the operating system's queue.
    pub connections: usize,
    /// Of these, those from one client address.
    pub connections_per_client: usize,
    /// From the end of a response, or from connecting, to the end of the next request's head. With HTTP/2 the time in
    /// which nothing is asked.
    pub header_timeout: Duration,
    /// Largest request head.
    pub header_bytes: usize,
    /// From the end of a request to the head of its answer, where the link has no `timeout_ms`.
    pub timeout: Duration,
    /// How long a body may stand still, where the link has no `idle_ms`.
    pub pause: Duration,
    /// Time for requests that run when a listener closes.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_client: for_one(4096),
            header_timeout: Duration::from_secs(30),
            header_bytes: 64 * 1024,
            timeout: Duration::from_secs(30),
            pause: Duration::from_secs(60),
            drain: Duration::from_secs(2),
        }
    }
}

impl Limits {
    /// Reads the configuration text given at start: a JSON object, every member optional.
    pub fn parse(config: Option<&str>) -> Result<Self, LinkValueError> {
        let mut limits = Self::default();
        let Some(config) = config.filter(|config| !config.trim().is_empty()) else { return Ok(limits) };
        let mut settings = Settings::collect(&Values::from([("config_json".to_owned(), config.to_owned())]), KEYS)?;
        let mut number = |name: &str, default: u64, range: std::ops::RangeInclusive<u64>| {
            let Some(setting) = settings.take(name) else { return Ok(default) };
            let number = setting.number()?;
            if range.contains(&number) {
                return Ok(number);
            }
            Err(setting.error(format!("`{number}` is not between {} and {}", range.start(), range.end())))
        };
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let day = 24 * 60 * 60 * 1000;
        limits.connections = usize_of(number("max_connections", limits.connections as u64, 1..=1_000_000)?);
        let for_one = for_one(limits.connections) as u64;
        limits.connections_per_client = usize_of(number("max_connections_per_client", for_one, 1..=1_000_000)?);
        limits.header_bytes = usize_of(number("max_header_bytes", limits.header_bytes as u64, 8192..=1 << 20)?);
        limits.header_timeout =
            Duration::from_millis(number("header_timeout_ms", millis(limits.header_timeout), 1..=day)?);
        limits.timeout = Duration::from_millis(number("timeout_ms", millis(limits.timeout), 1..=day)?);
        limits.pause = Duration::from_millis(number("idle_ms", millis(limits.pause), 1..=day)?);
        limits.drain = Duration::from_millis(number("drain_ms", millis(limits.drain), 0..=day)?);
        Ok(limits)
    }
}

/// What one client may have, unless it is set: a quarter, so that three more are let in.
fn for_one(connections: usize) -> usize {
    (connections / 4).max(FOR_ONE.min(connections))
}

/// Checked against a range that fits before it comes here.
fn usize_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn no_configuration_means_the_defaults() {
        assert_eq!(Limits::parse(None).unwrap(), Limits::default());
        assert_eq!(Limits::parse(Some(" ")).unwrap(), Limits::default());
        assert_eq!(Limits::parse(Some("{}")).unwrap(), Limits::default());
    }

    #[test]
    fn every_limit_can_be_set() {
        let text = r#"{"max_connections":3,"max_connections_per_client":2,"header_timeout_ms":2,"max_header_bytes":9000,
            "timeout_ms":4,"idle_ms":5,"drain_ms":0}"#;
        let ms = Duration::from_millis;
        let expected = Limits {
            connections: 3,
            connections_per_client: 2,
            header_timeout: ms(2),
            header_bytes: 9000,
            timeout: ms(4),
            pause: ms(5),
            drain: ms(0),
        };
        assert_eq!(Limits::parse(Some(text)).unwrap(), expected);
    }

    #[test]
    fn one_client_may_have_a_quarter_unless_there_are_few() {
        for (all, one) in [(1, 1), (100, 100), (256, 256), (1000, 256), (4096, 1024)] {
            let text = format!(r#"{{"max_connections":{all}}}"#);
            assert_eq!(Limits::parse(Some(&text)).unwrap().connections_per_client, one, "{all}");
        }
    }

    #[test]
    fn a_wrong_limit_stops_the_start_and_is_named() {
        for (text, key) in [
            (r#"{"max_connections":0}"#, "config_json.max_connections"),
            (r#"{"max_header_bytes":1}"#, "config_json.max_header_bytes"),
            (r#"{"timeout_ms":"x"}"#, "config_json.timeout_ms"),
            (r#"{"tiemout_ms":1}"#, "config_json.tiemout_ms"),
            ("nonsense", "config_json"),
        ] {
            assert_eq!(Limits::parse(Some(text)).unwrap_err().key, key);
        }
    }
}
