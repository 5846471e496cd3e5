//! Why a provider is not called.

/// Why a provider is not called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// For callers.
    pub(super) reason: String,
    /// What it says itself, for whoever runs it: it may be about servers and accounts that are no caller's business.
    pub(super) words: Option<String>,
}

impl Trouble {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), words: None }
    }
}
