//! What the start and the links say.
//!
//! Owns names, defaults and bounds. Invariant: a key is used or refused, never ignored, and no password is ever printed.

use provider_sdk::contracts::{
    LinkValueError, Values,
    link_values::{Setting, Settings},
};
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, TlsCertificates};

/// Where a link without `URL` leads, unless the start says otherwise.
const DEFAULT_URL: &str = "redis://127.0.0.1:6379";
const DEFAULT_CONNECTIONS: u64 = 2;
const MOST_CONNECTIONS: u64 = 16;
const LONGEST_NAMESPACE: usize = 256;
const LONGEST_URL: usize = 4096;
/// Largest answer in bytes unless the link says otherwise.
const DEFAULT_ANSWER: u64 = 16 << 20;

/// Settings of one link.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkSettings {
    url: String,
    ca: Option<String>,
    /// `redis://host:port/db`, without user and password.
    pub name: String,
    /// What every key begins with.
    pub prefix: String,
    /// Connections at most.
    pub connections: usize,
    /// Largest answer in bytes.
    pub max_answer: u64,
}

/// The URL for links that have none.
///
/// # Errors
/// [`LinkValueError`] with the key that is wrong.
pub fn default_url(config: Option<&str>) -> Result<String, LinkValueError> {
    let config = config.map(str::trim).filter(|config| !config.is_empty());
    let values = config.map(|config| ("config_json".to_owned(), config.to_owned())).into_iter().collect();
    let url = Settings::collect(&values, &["url"])?.take("url");
    match url {
        Some(setting) => {
            server_of(&setting)?;
            Ok(setting.text()?.trim().to_owned())
        }
        None => Ok(DEFAULT_URL.to_owned()),
    }
}

impl LinkSettings {
    /// Reads the values of a link.
    ///
    /// # Errors
    /// [`LinkValueError`] with the first key that is unusable.
    pub fn parse(values: &Values, default_url: &str) -> Result<Self, LinkValueError> {
        let known = ["url", "namespace", "connections", "ca_certificates", "max_answer_bytes"];
        let mut settings = Settings::collect(values, &known)?;
        let (url, name) = match settings.take("url") {
            Some(setting) => (setting.text()?.trim().to_owned(), server_of(&setting)?),
            None => {
                (default_url.to_owned(), name_of(&read_url(default_url).map_err(|e| LinkValueError::new("url", e))?))
            }
        };
        let ca = settings.take("ca_certificates");
        let ca_text = ca.as_ref().map(|setting| setting.text().map(str::to_owned)).transpose()?;
        let parsed = Self {
            url,
            ca: ca_text,
            name,
            prefix: settings.take("namespace").map_or(Ok(String::new()), |setting| namespace(&setting))?,
            connections: settings.take("connections").map_or(Ok(DEFAULT_CONNECTIONS), |n| connections(&n))? as usize,
            max_answer: settings.take("max_answer_bytes").map_or(Ok(DEFAULT_ANSWER), |n| n.number())?.max(1),
        };
        if let Some(setting) = ca {
            let roots = parsed.client().map_err(|_| setting.error("not certificates in PEM form"))?;
            if !matches!(roots.get_connection_info().addr(), ConnectionAddr::TcpTls { .. }) {
                return Err(setting.error("only for a `URL` that begins with `rediss://`"));
            }
        }
        Ok(parsed)
    }

    /// A client for it, not connected yet.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn client(&self) -> Result<Client, LinkValueError> {
        let failed = |reason: String| LinkValueError::new("URL", reason);
        let info = read_url(&self.url).map_err(failed)?;
        match &self.ca {
            Some(ca) => Client::build_with_tls(
                info,
                TlsCertificates { client_tls: None, root_cert: Some(ca.clone().into_bytes()) },
            ),
            None => Client::open(info),
        }
        .map_err(|error| failed(error.to_string()))
    }
}

fn server_of(setting: &Setting) -> Result<String, LinkValueError> {
    read_url(setting.text()?).map(|info| name_of(&info)).map_err(|reason| setting.error(reason))
}

/// Reads a URL; the reason never repeats it, because it may hold a password.
fn read_url(url: &str) -> Result<ConnectionInfo, String> {
    const FORM: &str = "a URL is of the form `redis://user:password@host:6379/0`, or `rediss://` for TLS";
    let url = url.trim();
    if url.len() > LONGEST_URL
        || url.contains(['#', '?'])
        || !(url.starts_with("redis://") || url.starts_with("rediss://"))
    {
        return Err(FORM.to_owned());
    }
    let info = url.into_connection_info().map_err(|_| FORM.to_owned())?;
    match info.addr() {
        ConnectionAddr::Tcp(..) | ConnectionAddr::TcpTls { insecure: false, .. } => Ok(info),
        _ => Err(FORM.to_owned()),
    }
}

fn name_of(info: &ConnectionInfo) -> String {
    let scheme = if matches!(info.addr(), ConnectionAddr::Tcp(..)) { "redis" } else { "rediss" };
    format!("{scheme}://{}/{}", info.addr(), info.redis_settings().db())
}

fn namespace(setting: &Setting) -> Result<String, LinkValueError> {
    let name = setting.text()?.trim();
    if name.is_empty() || name.len() > LONGEST_NAMESPACE || name.chars().any(|c| c.is_control() || c == ':') {
        return Err(setting.error(format!("a namespace is a name of 1 to {LONGEST_NAMESPACE} bytes without `:`")));
    }
    Ok(format!("{name}:"))
}

fn connections(setting: &Setting) -> Result<u64, LinkValueError> {
    match setting.number()? {
        number @ 1..=MOST_CONNECTIONS => Ok(number),
        _ => Err(setting.error(format!("1 to {MOST_CONNECTIONS} connections"))),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn link(values: &[(&str, &str)]) -> Result<LinkSettings, LinkValueError> {
        let values = values.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        LinkSettings::parse(&values, DEFAULT_URL)
    }

    #[test]
    fn a_url_is_read_as_providers_of_0_82_do() {
        assert_eq!(link(&[]).unwrap().name, "redis://127.0.0.1:6379/0");
        for key in ["URL", "url", "Url"] {
            assert_eq!(link(&[(key, "redis://cache:6380/3")]).unwrap().name, "redis://cache:6380/3");
        }
        assert_eq!(link(&[("config_json", r#"{"url":"redis://h"}"#)]).unwrap().name, "redis://h:6379/0");
        assert_eq!(default_url(Some(r#"{"url":"redis://d:1"}"#)).unwrap(), "redis://d:1");
        let settings = LinkSettings::parse(&Values::new(), "redis://d:1").unwrap();
        assert_eq!(settings.name, "redis://d:1/0");
    }

    #[test]
    fn no_password_is_printed() {
        assert_eq!(link(&[("URL", "rediss://me:secret@cache/1")]).unwrap().name, "rediss://cache:6379/1");
        for url in ["redis://me:secret@cache/x", "http://me:secret@cache", "redis://me:secret@:99999999"] {
            let error = link(&[("URL", url)]).err().unwrap().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let long = format!("redis://{}", "h".repeat(LONGEST_URL));
        let cases = [
            ("URL", ""),
            ("URL", "unix:///etc/passwd"),
            ("URL", "redis+unix:///run/redis"),
            ("URL", "rediss://h/#insecure"),
            ("URL", "redis://h/?protocol=resp3"),
            ("URL", &long),
            ("connections", "0"),
            ("connections", "17"),
            ("namespace", "a:b"),
            ("namespace", " "),
            ("ca_certificates", "nonsense"),
            ("quota_bytes", "1"),
        ];
        for (key, value) in cases {
            assert_eq!(link(&[(key, value)]).err().unwrap().key, key, "{value}");
        }
    }
}
