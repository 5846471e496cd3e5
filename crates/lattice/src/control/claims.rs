//! `get.claims`: what the lattice knows of signed artifacts, one row of strings per actor or provider.
//!
//! The request is empty, but for the second and later pages of an answer that does not fit a message. Which keys a row has is settled where stored claims are rendered, not here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ControlRequest;

/// One signed artifact; `sub`, `iss`, `name`, … and their newer spellings, every value a string.
pub type ClaimsRow = BTreeMap<String, String>;

/// Answer to `get.claims`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimsReply {
    /// One row per artifact.
    pub claims: Vec<ClaimsRow>,
    /// There are more: ask again with this in [`GetClaims::after`]. Ours; hosts of others send everything, or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<String>,
}

/// Request of `get.claims`; may be left out altogether. Hosts of others pass it over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetClaims {
    /// [`ClaimsReply::more`] of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl ControlRequest for GetClaims {
    const WHAT: &'static str = "question for claims";
}
