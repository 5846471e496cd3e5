//! What is wrong with the settings: collected, and told together.

use std::{collections::BTreeMap, ffi::OsString};

use claims::{KeyKind, KeyPair};

/// What the variables begin with that set a label, such as `WASMCLOUD_LABEL_zone`.
const LABEL_VARIABLE: &str = "WASMCLOUD_LABEL_";

/// Settings that cannot be used; every one is listed.
#[derive(Debug, thiserror::Error)]
#[error("unusable settings:\n  {}", .problems.join("\n  "))]
pub struct ConfigError {
    /// One sentence per setting.
    pub problems: Vec<String>,
}

/// What is wrong with the settings, collected.
pub(super) struct Problems(pub(super) Vec<String>);

impl Problems {
    /// What is wrong with a setting is said once, however many use it.
    pub(super) fn add(&mut self, problem: &str) {
        if !self.0.iter().any(|known| known == problem) {
            self.0.push(problem.to_owned());
        }
    }

    pub(super) fn take<T, E: std::fmt::Display>(&mut self, setting: &str, outcome: Result<T, E>) -> Option<T> {
        outcome.map_err(|error| self.add(&format!("{setting}: {error}"))).ok()
    }

    pub(super) fn seed(&mut self, setting: &str, seed: Option<&str>, kind: KeyKind) -> Option<KeyPair> {
        let key = self.take(setting, KeyPair::from_seed(seed?))?;
        if key.kind() == kind {
            return Some(key);
        }
        self.0.push(format!("{setting}: expected the seed of a {kind:?} key, found one of a {:?} key", key.kind()));
        None
    }

    pub(super) fn list<T: std::str::FromStr>(&mut self, setting: &str, texts: &[String]) -> Vec<T>
    where
        T::Err: std::fmt::Display,
    {
        texts.iter().filter_map(|text| self.take(setting, text.trim().parse())).collect()
    }

    pub(super) fn labels(&mut self, given: &[String]) -> BTreeMap<String, String> {
        let mut labels = self.labels_of(std::env::vars_os());
        for text in given {
            match text.split_once('=') {
                Some((key, value)) if !key.is_empty() => {
                    labels.insert(key.to_owned(), value.to_owned());
                }
                _ => self.0.push(format!("--label: `{text}` is not of the form `key=value`")),
            }
        }
        labels
    }

    /// Labels among the variables of the environment, which may hold anything: only what is ours must be text.
    pub(super) fn labels_of(
        &mut self,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        for (name, value) in variables {
            if !name.as_encoded_bytes().starts_with(LABEL_VARIABLE.as_bytes()) {
                continue;
            }
            match (name.to_str().and_then(|name| name.strip_prefix(LABEL_VARIABLE)), value.into_string()) {
                (Some(key), Ok(value)) if !key.is_empty() => drop(labels.insert(key.to_owned(), value)),
                (Some(""), Ok(_)) => self.0.push(format!("{LABEL_VARIABLE}: a label needs a name")),
                _ => self.0.push(format!("{}: not UTF-8 text", name.display())),
            }
        }
        labels
    }

    pub(super) fn none_or<T>(self, settings: T) -> Result<T, ConfigError> {
        if self.0.is_empty() { Ok(settings) } else { Err(ConfigError { problems: self.0 }) }
    }
}
