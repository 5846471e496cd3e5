//! What the start and the links say.
//!
//! Owns names, defaults and bounds. Invariant: a key is used or refused, never ignored.

use std::path::PathBuf;

use provider_sdk::{
    claims::ActorId,
    contracts::{
        LinkValueError, Values,
        link_values::{Setting, Settings as Reader},
    },
};

/// Bytes that a link may fill unless it says otherwise.
pub const DEFAULT_QUOTA: u64 = 256 << 20;
/// Largest answer in bytes unless the start says otherwise.
const DEFAULT_ANSWER: u64 = 16 << 20;
const LONGEST_NAMESPACE: usize = 256;

/// Settings of one start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the database is.
    pub directory: PathBuf,
    /// Largest answer in bytes.
    pub max_answer: u64,
}

impl Settings {
    /// Reads the configuration text. Without `directory` the data is where the host keeps data of providers.
    ///
    /// # Errors
    /// [`LinkValueError`] with the key that is wrong or missing.
    pub fn parse(config: Option<&str>, data_dir: Option<PathBuf>) -> Result<Self, LinkValueError> {
        let config = config.map(str::trim).filter(|config| !config.is_empty());
        let values = config.map(|config| ("config_json".to_owned(), config.to_owned())).into_iter().collect();
        let mut reader = Reader::collect(&values, &["directory", "max_answer_bytes"])?;
        let directory = match reader.take("directory") {
            Some(setting) => Some(absolute(&setting)?),
            None => data_dir,
        };
        let missing = || {
            let reason = "this host keeps no data for providers; say where, as `{\"directory\":\"/var/lib/keyvalue\"}`";
            LinkValueError::new("directory", reason)
        };
        let max_answer =
            reader.take("max_answer_bytes").map_or(Ok(DEFAULT_ANSWER), |setting| at_least_one(&setting))?;
        Ok(Self { directory: directory.ok_or_else(missing)?, max_answer })
    }
}

/// Settings of one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSettings {
    /// The key space.
    pub space: String,
    /// Most bytes in it.
    pub quota: u64,
}

impl LinkSettings {
    /// Reads the values of a link of an actor.
    ///
    /// # Errors
    /// [`LinkValueError`] with the first key that is unusable.
    pub fn parse(actor: &ActorId, values: &Values) -> Result<Self, LinkValueError> {
        let mut reader = Reader::collect(values, &["namespace", "quota_bytes"])?;
        let space = match reader.take("namespace") {
            Some(setting) => format!("namespace {}", namespace(&setting)?),
            None => format!("actor {actor}"),
        };
        let quota = reader.take("quota_bytes").map_or(Ok(DEFAULT_QUOTA), |setting| at_least_one(&setting))?;
        Ok(Self { space, quota })
    }
}

fn absolute(setting: &Setting) -> Result<PathBuf, LinkValueError> {
    let path = PathBuf::from(setting.text()?);
    if path.is_absolute() { Ok(path) } else { Err(setting.error("not an absolute path")) }
}

fn namespace(setting: &Setting) -> Result<String, LinkValueError> {
    let name = setting.text()?.trim();
    if name.is_empty() || name.len() > LONGEST_NAMESPACE || name.chars().any(char::is_control) {
        return Err(setting.error(format!("a namespace is a name of 1 to {LONGEST_NAMESPACE} bytes")));
    }
    Ok(name.to_owned())
}

fn at_least_one(setting: &Setting) -> Result<u64, LinkValueError> {
    match setting.number()? {
        0 => Err(setting.error("at least 1")),
        number => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use provider_sdk::claims::{KeyKind, PublicKey};

    use super::*;

    fn link(values: &[(&str, &str)]) -> Result<LinkSettings, LinkValueError> {
        let actor = PublicKey::from_raw(KeyKind::Module, [1; 32]).try_into().unwrap();
        LinkSettings::parse(&actor, &values.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    #[test]
    fn a_namespace_cannot_be_the_space_of_an_actor() {
        let own = link(&[]).unwrap();
        assert!(own.space.starts_with("actor M"));
        assert_eq!(own.quota, DEFAULT_QUOTA);
        assert_ne!(link(&[("NAMESPACE", &own.space)]).unwrap().space, own.space);
        assert_eq!(link(&[("Namespace", "a"), ("QUOTA_BYTES", "7")]).unwrap().quota, 7);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let long = "x".repeat(257);
        for (key, value) in
            [("NAMESPACE", ""), ("NAMESPACE", "a\nb"), ("NAMESPACE", &long), ("quota_bytes", "0"), ("URL", "x")]
        {
            assert_eq!(link(&[(key, value)]).unwrap_err().key, key, "{value}");
        }
    }

    #[test]
    fn a_start_without_any_directory_says_how_to_give_one() {
        assert!(Settings::parse(None, None).unwrap_err().to_string().contains("/var/lib"));
        let given = Settings::parse(Some(r#"{"directory":"/a","max_answer_bytes":9}"#), Some("/b".into())).unwrap();
        assert_eq!(given, Settings { directory: "/a".into(), max_answer: 9 });
        assert!(Settings::parse(Some(r#"{"directory":"a"}"#), None).is_err());
        assert!(Settings::parse(Some("nonsense"), Some("/b".into())).is_err());
    }
}
