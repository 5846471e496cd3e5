//! Values of a link to an HTTP server provider.
//!
//! Those of the protocol, section 7.6, and two of ours, `host` and `path`, by which several actors share an address.
//! What this does not serve yet and what matters for safety (`tls`, `cors`, `config_file`) is refused by name; other keys
//! that mean nothing here are named and have no effect, because links of 0.82 have them.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use crate::link_values::{LinkValueError, Setting, Settings, Values};

/// Where a link without `address` and `port` listens.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);
/// Largest request body in bytes of a link without `max_content_len`.
pub const DEFAULT_MAX_CONTENT_LEN: u64 = 100 << 20;

const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

const KEYS: &[&str] = &[
    "address",
    "port",
    "host",
    "path",
    "timeout_ms",
    "idle_ms",
    "drain_ms",
    "max_content_len",
    "readonly_mode",
    "cache_control",
    "log",
    "tls",
    "cors",
];

/// What a link to an HTTP server provider says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpServerLink {
    /// Listening address.
    pub address: SocketAddr,
    /// Only requests for this host name, in lower case and without port; none means every host name.
    pub host: Option<String>,
    /// Only requests whose path is this or below it; begins with `/`, does not end with it. None means every path.
    /// The actor gets the whole path.
    pub path: Option<String>,
    /// From the end of a request to the head of its answer; none means what the provider says.
    pub timeout: Option<Duration>,
    /// How long a body may stand still, of a request as of an answer; none means what the provider says.
    pub idle: Option<Duration>,
    /// Time for requests that run when the link, as the last on its address, goes; none means what the provider says.
    pub drain: Option<Duration>,
    /// Largest accepted request body in bytes.
    pub max_content_len: u64,
    /// Whether only `GET` and `HEAD` get through.
    pub readonly: bool,
    /// `cache-control` of answers to `GET` and `HEAD` which bring none of their own.
    pub cache_control: Option<String>,
    /// Keys that have no effect, as the operator wrote them: providers of 0.82 take and pass over what they do not know.
    pub ignored: Vec<String>,
}

impl Default for HttpServerLink {
    fn default() -> Self {
        Self {
            address: DEFAULT_ADDRESS,
            host: None,
            path: None,
            timeout: None,
            idle: None,
            drain: None,
            max_content_len: DEFAULT_MAX_CONTENT_LEN,
            readonly: false,
            cache_control: None,
            ignored: Vec::new(),
        }
    }
}

impl HttpServerLink {
    /// Reads the values of a link. Keys are accepted in any case; `log` is accepted and has no effect.
    ///
    /// # Errors
    /// [`LinkValueError`] with the first key that is unusable.
    pub fn parse(values: &Values) -> Result<Self, LinkValueError> {
        let (mut settings, ignored) = Settings::collect_known(values, KEYS)?;
        refuse(settings.take("tls"), "TLS is not supported; put a proxy that speaks it in front")?;
        refuse(settings.take("cors"), "CORS is not supported; let the actor send these headers")?;
        Ok(Self {
            address: address(settings.take("address"), settings.take("port"))?,
            host: settings.take("host").map(host).transpose()?,
            path: settings.take("path").map(path).transpose()?.flatten(),
            timeout: settings.take("timeout_ms").map(timeout).transpose()?,
            idle: settings.take("idle_ms").map(timeout).transpose()?,
            drain: settings.take("drain_ms").map(drain).transpose()?,
            max_content_len: settings
                .take("max_content_len")
                .map_or(Ok(DEFAULT_MAX_CONTENT_LEN), |bytes| bytes.size())?,
            readonly: settings.take("readonly_mode").map_or(Ok(false), |readonly| readonly.boolean())?,
            cache_control: settings.take("cache_control").map(cache_control).transpose()?,
            ignored,
        })
    }
}

fn refuse(setting: Option<Setting>, reason: &str) -> Result<(), LinkValueError> {
    match setting {
        Some(setting) if !setting.is_blank() => Err(setting.error(reason)),
        _ => Ok(()),
    }
}

fn address(address: Option<Setting>, port: Option<Setting>) -> Result<SocketAddr, LinkValueError> {
    let port = match port {
        None => None,
        Some(setting) => match u16::try_from(setting.number()?) {
            Ok(number) if number > 0 => Some((setting, number)),
            _ => return Err(setting.error("a port is a number from 1 to 65535")),
        },
    };
    let Some(setting) = address else {
        return Ok(port.map_or(DEFAULT_ADDRESS, |(_, number)| (Ipv4Addr::LOCALHOST, number).into()));
    };
    let text = setting.text()?;
    let address: SocketAddr = text.trim().parse().map_err(|_| {
        setting.error(format!("`{text}` is not an address of the form `127.0.0.1:8000` or `[::1]:8000`"))
    })?;
    if address.port() == 0 {
        return Err(setting.error("a port is a number from 1 to 65535"));
    }
    match port {
        Some((setting, number)) if number != address.port() => {
            Err(setting.error(format!("`{number}` contradicts `address`, which says `{address}`; give one of them")))
        }
        _ => Ok(address),
    }
}

fn host(setting: Setting) -> Result<String, LinkValueError> {
    let host = setting.text()?.trim().to_ascii_lowercase();
    let named = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let valid = match literal {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && named(&host),
    };
    if valid {
        Ok(host)
    } else {
        Err(setting.error(format!("`{host}` is not a host name; give it without port and wildcards")))
    }
}

/// `/` alone means every path.
fn path(setting: Setting) -> Result<Option<String>, LinkValueError> {
    let text = setting.text()?.trim();
    let path = text.trim_end_matches('/');
    let segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#%\\\"<>".contains(&byte))
    };
    match path.strip_prefix('/') {
        None if text.starts_with('/') => Ok(None),
        Some(rest) if rest.split('/').all(segment) => Ok(Some(path.to_owned())),
        _ => Err(setting.error(format!("`{text}` is not a path of the form `/api/v1`"))),
    }
}

fn timeout(setting: Setting) -> Result<Duration, LinkValueError> {
    let timeout = Duration::from_millis(setting.number()?);
    if timeout.is_zero() || timeout > LONGEST_TIMEOUT {
        return Err(setting.error(format!("a timeout is 1 to {} milliseconds", LONGEST_TIMEOUT.as_millis())));
    }
    Ok(timeout)
}

/// None at all is a time too.
fn drain(setting: Setting) -> Result<Duration, LinkValueError> {
    let drain = Duration::from_millis(setting.number()?);
    if drain > LONGEST_TIMEOUT {
        return Err(setting.error(format!("this time is 0 to {} milliseconds", LONGEST_TIMEOUT.as_millis())));
    }
    Ok(drain)
}

fn cache_control(setting: Setting) -> Result<String, LinkValueError> {
    let text = setting.text()?.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Err(setting.error("not the value of a `cache-control` header, for example `max-age=60`"));
    }
    Ok(text.to_owned())
}
