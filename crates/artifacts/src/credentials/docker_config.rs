//! What is in `config.json` of docker and its relatives, and which entry is for a repository.
//!
//! Pure: takes the text, opens nothing, asks no helper. The most specific entry counts: one for the repository, then the
//! longest beginning of its path, then one for the registry; of several spellings of one place the plainest. Invariants:
//! the same text gives the same answer every time; no error quotes the text.

use std::collections::BTreeMap;

use data_encoding::{BASE64, BASE64_NOPAD};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::kept::{Credentials, Secret};
use crate::json_fault::JsonFault;
use crate::reference::{is_docker_hub, strip_scheme};

/// What Docker Hub is called in the files of docker.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// A configuration. `null` stands for nothing wherever something may stand.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DockerConfig {
    auths: Option<BTreeMap<String, Option<Stored>>>,
    cred_helpers: Option<BTreeMap<String, Option<String>>>,
    creds_store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stored {
    auth: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    identitytoken: Option<Secret>,
}

/// Where the credentials for a repository are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nowhere.
    Nowhere,
    /// In the file itself.
    File(Credentials),
    /// With a helper.
    Helper {
        /// Its name, without what all names of helpers begin with. As written: it may be none.
        name: String,
        /// What the helper is asked for.
        server: String,
    },
}

/// Why a text is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DockerConfigError {
    /// No JSON of that shape.
    #[error(transparent)]
    NotAConfig(JsonFault),
    /// The stored user and password are no such thing.
    #[error("no base64 of `user:password`")]
    NotAPair,
}

impl DockerConfig {
    /// Reads a configuration. An empty file is one, and so is one that begins with a byte order mark.
    ///
    /// # Errors
    /// [`DockerConfigError::NotAConfig`].
    pub fn parse(text: &[u8]) -> Result<Self, DockerConfigError> {
        let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        serde_json::from_slice(text).map_err(|error| DockerConfigError::NotAConfig(error.into()))
    }

    /// Where the credentials for `repository` at `registry` are. The registry is written as in references, the repository
    /// may be empty.
    ///
    /// # Errors
    /// [`DockerConfigError::NotAPair`] when the entry that counts is damaged.
    pub fn find(&self, registry: &str, repository: &str) -> Result<Source, DockerConfigError> {
        let place = Place { registry: if is_docker_hub(registry) { "docker.io" } else { registry }, repository };
        let helpers = self.cred_helpers.iter().flatten();
        let helper = place.best_first(helpers).find_map(|name| name.as_deref().filter(|name| !name.is_empty()));
        // Helpers are asked by the name under which `docker login` stored it.
        let server = if place.registry == "docker.io" { DOCKER_HUB } else { registry }.to_owned();
        if let Some(name) = helper {
            return Ok(Source::Helper { name: name.to_owned(), server });
        }
        // An entry that holds nothing says that somebody else keeps it.
        for stored in place.best_first(self.auths.iter().flatten()).flatten() {
            if let Some(credentials) = stored.credentials()? {
                return Ok(Source::File(credentials));
            }
        }
        Ok(match self.creds_store.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => Source::Helper { name: name.to_owned(), server },
            None => Source::Nowhere,
        })
    }
}

/// What credentials are wanted for.
#[derive(Clone, Copy)]
struct Place<'a> {
    registry: &'a str,
    repository: &'a str,
}

impl Place<'_> {
    /// The entries that are for this place, the most specific first. Of two that say the same the one that is written
    /// more plainly, then the one whose key comes first.
    fn best_first<'e, T>(self, entries: impl Iterator<Item = (&'e String, &'e T)>) -> impl Iterator<Item = &'e T>
    where
        T: 'e,
    {
        let mut fitting: Vec<_> = entries.filter_map(|(key, entry)| Some((self.rank(key)?, key, entry))).collect();
        fitting.sort_by(|(one, a, _), (other, b, _)| one.cmp(other).then_with(|| a.cmp(b)));
        fitting.into_iter().map(|(_, _, entry)| entry)
    }

    /// How well a key fits: the less the better; none when it is for something else.
    fn rank(self, key: &str) -> Option<(std::cmp::Reverse<usize>, bool, usize)> {
        let key = key.trim().to_ascii_lowercase();
        let (rest, has_scheme) = strip_scheme(&key);
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = if is_docker_hub(host) { "docker.io" } else { host };
        let path = path.trim_matches('/');
        // Versions of the interface, not repositories.
        let path = if matches!(path, "v1" | "v2") { "" } else { path };
        let below = self.repository.strip_prefix(path)?;
        let is_prefix = path.is_empty() || below.is_empty() || below.starts_with('/');
        (host == self.registry && is_prefix).then_some((std::cmp::Reverse(path.len()), has_scheme, key.len()))
    }
}

impl Stored {
    /// What the file itself holds; nothing where a helper keeps it.
    fn credentials(&self) -> Result<Option<Credentials>, DockerConfigError> {
        if let Some(token) = self.identitytoken.as_ref().filter(|token| !token.reveal().is_empty()) {
            return Ok(Some(Credentials::Identity(token.clone())));
        }
        if let Some(auth) = self.auth.as_ref().filter(|auth| !auth.reveal().is_empty()) {
            return pair(auth.reveal()).map(Some).ok_or(DockerConfigError::NotAPair);
        }
        Ok(match (&self.username, &self.password) {
            (Some(user), Some(password)) => Some(Credentials::basic(user, password.clone())),
            _ => None,
        })
    }
}

fn pair(auth: &str) -> Option<Credentials> {
    let auth = auth.trim();
    let decoded = BASE64.decode(auth.as_bytes()).or_else(|_| BASE64_NOPAD.decode(auth.as_bytes())).ok()?;
    let decoded = Zeroizing::new(decoded);
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    // Some versions of docker padded the password with zeros.
    Some(Credentials::basic(user, password.trim_end_matches('\0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn user(config: &serde_json::Value, registry: &str, repository: &str) -> Option<String> {
        let config = DockerConfig::parse(config.to_string().as_bytes()).expect("a configuration");
        match config.find(registry, repository).expect("not damaged") {
            Source::File(credentials) => credentials.user().map(str::to_owned),
            Source::Helper { name, server } => Some(format!("{name} for {server}")),
            Source::Nowhere => None,
        }
    }

    fn auths(keys: &[&str]) -> serde_json::Value {
        let entries = keys.iter().map(|key| ((*key).to_owned(), json!({ "username": key, "password": "x" })));
        json!({ "auths": entries.collect::<serde_json::Map<_, _>>() })
    }

    #[test]
    fn pairs_are_read_with_and_without_padding() {
        assert_eq!(pair("YWRhOmh1bnRlcjI="), Some(Credentials::basic("ada", "hunter2")));
        assert_eq!(pair("YWRhOmh1bnRlcjI"), Some(Credentials::basic("ada", "hunter2")));
        assert_eq!(pair("YWRhOmE6Yg=="), Some(Credentials::basic("ada", "a:b")));
        assert_eq!(pair("YWRh"), None);
        assert_eq!(pair("!"), None);
    }

    #[test]
    fn the_most_specific_entry_counts_and_chance_does_not() {
        let keys = ["ghcr.io", "https://ghcr.io", "https://ghcr.io/v1/", "ghcr.io/acme", "ghcr.io/acme/echo"];
        let all = auths(&keys);
        for _ in 0..20 {
            assert_eq!(user(&all, "ghcr.io", "acme/echo").as_deref(), Some("ghcr.io/acme/echo"));
            assert_eq!(user(&all, "ghcr.io", "acme/other").as_deref(), Some("ghcr.io/acme"));
            assert_eq!(user(&all, "ghcr.io", "acmes/echo").as_deref(), Some("ghcr.io"), "not by half a name");
            assert_eq!(user(&all, "ghcr.io", "").as_deref(), Some("ghcr.io"));
        }
        let schemes = auths(&["https://ghcr.io/v2/", "http://ghcr.io", "https://ghcr.io"]);
        assert_eq!(user(&schemes, "ghcr.io", "a").as_deref(), Some("http://ghcr.io"));
        assert_eq!(user(&all, "other.test", "acme/echo"), None);
        let ports = auths(&["registry.test", "registry.test:5000"]);
        assert_eq!(user(&ports, "registry.test:5000", "a").as_deref(), Some("registry.test:5000"));
        assert_eq!(user(&auths(&["Registry.Test"]), "registry.test", "a").as_deref(), Some("Registry.Test"));
    }

    #[test]
    fn docker_hub_has_several_names_and_helpers_know_one() {
        for key in ["https://index.docker.io/v1/", "docker.io", "registry-1.docker.io"] {
            assert_eq!(user(&auths(&[key]), "docker.io", "library/echo").as_deref(), Some(key));
        }
        let store = json!({ "credsStore": "pass" });
        assert_eq!(user(&store, "docker.io", "a").as_deref(), Some("pass for https://index.docker.io/v1/"));
        let helper = json!({ "credHelpers": { "ghcr.io": "one", "ghcr.io/acme": "two" }, "credsStore": "pass" });
        assert_eq!(user(&helper, "ghcr.io", "acme/a").as_deref(), Some("two for ghcr.io"));
        assert_eq!(user(&helper, "other.test", "a").as_deref(), Some("pass for other.test"));
    }

    #[test]
    fn nothing_may_be_written_in_many_ways() {
        let nothing = [
            "",
            " \n",
            "\u{FEFF}",
            "\u{FEFF}{}",
            "{}",
            r#"{"auths":null,"credHelpers":null,"credsStore":null}"#,
            r#"{"auths":{"ghcr.io":null},"credHelpers":{"ghcr.io":null}}"#,
            r#"{"auths":{"ghcr.io":{}}}"#,
            r#"{"auths":{"ghcr.io":{"auth":null,"username":null}}}"#,
            r#"{"HttpHeaders":{"a":"b"},"currentContext":"x"}"#,
        ];
        for text in nothing {
            let config = DockerConfig::parse(text.as_bytes()).expect(text);
            assert_eq!(config.find("ghcr.io", "a"), Ok(Source::Nowhere), "{text}");
        }
        let with_mark = "\u{FEFF}{\"auths\":{\"ghcr.io\":{\"auth\":\"YWRhOng=\"}}}";
        let found = DockerConfig::parse(with_mark.as_bytes()).expect("read").find("ghcr.io", "a");
        assert_eq!(found, Ok(Source::File(Credentials::basic("ada", "x"))));
    }

    #[test]
    fn errors_say_where_and_not_what() {
        for text in
            [r#"{"auths":{"ghcr.io":"hunter2"}}"#, r#"{"auths":"hunter2"}"#, "hunter2", r#"{"auths":["hunter2"]}"#]
        {
            let error = DockerConfig::parse(text.as_bytes()).expect_err(text);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
            assert!(error.to_string().starts_with("line 1, column "), "{error}");
        }
        let damaged = r#"{"auths":{"ghcr.io":{"auth":"hunter2!"}}}"#;
        let found = DockerConfig::parse(damaged.as_bytes()).expect("read").find("ghcr.io", "a");
        assert_eq!(found, Err(DockerConfigError::NotAPair));
    }
}
