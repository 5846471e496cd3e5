//! `get.claims`: what the lattice knows of signed artifacts, one row of strings per actor or provider.
//!
//! The request is empty. Which keys a row has is settled where stored claims are rendered, not here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One signed artifact; `sub`, `iss`, `name`, … and their newer spellings, every value a string.
pub type ClaimsRow = BTreeMap<String, String>;

/// Answer to `get.claims`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimsReply {
    /// One row per artifact.
    pub claims: Vec<ClaimsRow>,
}
