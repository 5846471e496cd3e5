//! Reading link values: which key is wrong, why, and what would be right.

/// A link value that its contract cannot use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("link value `{key}`: {reason}")]
pub struct LinkValueError {
    /// The key, as the operator wrote it.
    pub key: String,
    /// What is wrong with it and what is expected.
    pub reason: String,
}

impl LinkValueError {
    /// Names the key and the reason.
    pub fn new(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { key: key.into(), reason: reason.into() }
    }
}
