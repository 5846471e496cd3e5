//! `wasmcloud:messaging`: publishing, requests with one reply, and subscriptions (protocol section 7.6).
//!
//! Invariant: a member that is absent is not encoded, and `nil` in its place is understood; both kinds of peers exist.

use serde::{Deserialize, Serialize};

/// Contract id.
pub const CONTRACT: &str = "wasmcloud:messaging";

/// Actor to provider: [`PubMessage`] → nothing.
pub const PUBLISH: &str = "Messaging.Publish";
/// Actor to provider: [`RequestMessage`] → [`ReplyMessage`].
pub const REQUEST: &str = "Messaging.Request";
/// Provider to actor: [`SubMessage`] → nothing.
pub const HANDLE_MESSAGE: &str = "MessageSubscriber.HandleMessage";

/// Argument of [`PUBLISH`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PubMessage {
    /// Where it goes.
    pub subject: String,
    /// Where an answer is expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Body.
    #[serde(default, with = "serde_bytes")]
    pub body: Vec<u8>,
}

/// What a subscriber gets: the argument of [`HANDLE_MESSAGE`].
pub type SubMessage = PubMessage;

/// Argument of [`REQUEST`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestMessage {
    /// Where it goes.
    pub subject: String,
    /// Body.
    #[serde(default, with = "serde_bytes")]
    pub body: Vec<u8>,
    /// Longest wait for the reply in milliseconds.
    #[serde(default)]
    pub timeout_ms: u32,
}

/// Result of [`REQUEST`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplyMessage {
    /// Where it was sent to.
    #[serde(default)]
    pub subject: String,
    /// Where an answer to the reply is expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Body.
    #[serde(default, with = "serde_bytes")]
    pub body: Vec<u8>,
}

impl ReplyMessage {
    /// Whether this is what providers of 0.82 answer when nobody replied: success, without a subject and without a body.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.subject.is_empty() && self.body.is_empty()
    }
}
