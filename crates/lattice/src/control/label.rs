//! `labels.{host}.put` and `labels.{host}.del`.
//!
//! Real hosts demand a value also for deleting and then ignore it, so an empty one is sent.

use serde::{Deserialize, Serialize};

use super::ControlRequest;
use crate::bounds::{self, LimitExceeded};

/// Request of `labels.{host}.put`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutLabel {
    /// Name of the label.
    pub key: String,
    /// Its value.
    pub value: String,
}

impl ControlRequest for PutLabel {
    const WHAT: &'static str = "host label put command";

    fn check_size(&self) -> Result<(), LimitExceeded> {
        bounds::labels(&[(self.key.clone(), self.value.clone())].into())
    }
}

/// Request of `labels.{host}.del`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteLabel {
    /// Name of the label.
    pub key: String,
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    value: String,
}

impl DeleteLabel {
    /// Deletes the label of this name, whatever its value.
    pub fn new(key: impl Into<String>) -> Self {
        Self { key: key.into(), value: String::new() }
    }
}

impl ControlRequest for DeleteLabel {
    const WHAT: &'static str = "host label delete command";

    fn check_size(&self) -> Result<(), LimitExceeded> {
        bounds::bytes("name of a label", self.key.len(), bounds::MAX_KEY)
    }
}
