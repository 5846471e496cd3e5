//! What is settled before the host starts, and handed on to a host in a process of its own.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What was settled before the host starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    #[serde(with = "path_as_it_is")]
    /// Where the host keeps its state.
    pub state_dir: PathBuf,
    /// Which NATS server it uses.
    pub broker: Broker,
}

/// A path in JSON, also where it is no text.
mod path_as_it_is {
    use std::{
        ffi::OsString,
        path::{Path, PathBuf},
    };

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        OsString::deserialize(from).map(PathBuf::from)
    }
}

impl Plan {
    /// As the process in the background is told it.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}

/// The NATS server of a host. Addresses are as they may be shown: this is handed on by a command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Broker {
    /// None, because none was found (`missing`) or none is wanted.
    None {
        /// None was found.
        missing: bool,
    },
    /// One that answered.
    Present {
        /// Where.
        url: String,
        /// Credentials for it that are kept here.
        creds: Option<PathBuf>,
    },
    /// One that was started now.
    Started {
        /// Where.
        url: String,
        /// Its port on this machine.
        port: u16,
        /// What its log is called.
        log: String,
        /// Credentials for it.
        creds: Option<PathBuf>,
    },
    /// One that is away.
    Awaited {
        /// Where.
        url: String,
    },
}

impl Broker {
    /// Its address.
    pub fn url(&self) -> Option<String> {
        match self {
            Self::None { .. } => None,
            Self::Present { url, .. } | Self::Started { url, .. } | Self::Awaited { url } => Some(url.clone()),
        }
    }

    /// Where other tools find credentials for it.
    pub fn creds(&self) -> Option<&Path> {
        match self {
            Self::Present { creds, .. } | Self::Started { creds, .. } => creds.as_deref(),
            Self::None { .. } | Self::Awaited { .. } => None,
        }
    }

    /// How it is shown.
    pub fn shown(&self) -> String {
        match self {
            Self::None { .. } => "none: a single host".to_owned(),
            Self::Present { url, .. } => url.clone(),
            Self::Started { url, log, .. } => format!("{url} (started now; log {log})"),
            Self::Awaited { url } => format!("{url} (away; the host keeps trying)"),
        }
    }
}
