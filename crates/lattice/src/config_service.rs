//! The config service: what a host asks it when it starts, and what it says (protocol section 8.6). JSON.
//!
//! The subject is [`crate::subject::config_service`].

use serde::{Deserialize, Serialize};

use crate::control::{ControlRequest, DecodeError, Labels, RegistryCredentials, decode, encode};

/// What a host says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigQuestion {
    /// Its labels.
    #[serde(default)]
    pub labels: Labels,
}

/// What the service has for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigAnswer {
    /// Credentials by registry; they take the place of those the host was started with.
    #[serde(default)]
    pub registry_credentials: RegistryCredentials,
}

impl ControlRequest for ConfigQuestion {
    const WHAT: &'static str = "question to the config service";
}

impl ControlRequest for ConfigAnswer {
    const WHAT: &'static str = "answer of the config service";
}

impl ConfigQuestion {
    /// Encodes the question.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        encode(self)
    }
}

impl ConfigAnswer {
    /// Decodes an answer.
    ///
    /// # Errors
    /// [`DecodeError`] for everything but a JSON object whose members are of the right kind.
    pub fn from_json(text: &[u8]) -> Result<Self, DecodeError> {
        decode(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_names_of_the_protocol() {
        let text = br#"{"registryCredentials":{"r.test":{"registryType":"oci","username":"u","password":"p"}}}"#;
        let answer = ConfigAnswer::from_json(text).expect("it is one");
        assert_eq!(answer.registry_credentials.0["r.test"].username.as_deref(), Some("u"));
        assert_eq!(ConfigAnswer::from_json(b"{}"), Ok(ConfigAnswer::default()));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for text in [&b""[..], b"[]", b"{\"registryCredentials\":7}", b"{\"registryCredentials\":{\"r\":7}}"] {
            let error = ConfigAnswer::from_json(text).expect_err("it is none");
            assert!(error.to_string().contains("answer of the config service"), "{error}");
        }
    }

    #[test]
    fn a_question_names_labels() {
        let labels = [("region".to_owned(), "north".to_owned())].into();
        assert_eq!(ConfigQuestion { labels }.to_json(), br#"{"labels":{"region":"north"}}"#);
    }
}
