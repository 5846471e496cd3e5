//! `revocations.put` and `revocations.get`: signed lists of what must no longer run. Ours; hosts of others serve neither.
//!
//! The lists travel as the tokens their signers made, so that whoever reads them can verify them. An answer that would
//! not fit a message comes in pages.

use serde::{Deserialize, Serialize};

use super::ControlRequest;

/// Request of `revocations.put`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutRevocations {
    /// The signed list.
    pub token: String,
}

impl ControlRequest for PutRevocations {
    const WHAT: &'static str = "revocation list";
}

/// Request of `revocations.get`; may be left out altogether.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetRevocations {
    /// [`RevocationsReply::more`] of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl ControlRequest for GetRevocations {
    const WHAT: &'static str = "revocation query";
}

/// Answer to `revocations.get`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationsReply {
    /// The lists in force.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub lists: Vec<SignedList>,
    /// There are more: ask again with this in [`GetRevocations::after`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<String>,
}

/// One list. Signer and number are what the token says, for readers that do not look into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedList {
    /// Public key that signed it.
    pub signer: String,
    /// Its number; a higher one of the same signer replaces it.
    pub number: u64,
    /// The token.
    pub token: String,
}
