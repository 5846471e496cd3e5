//! crates/claims
