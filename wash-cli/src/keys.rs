//! Keys of the user, what they sign, and whose keys the user trusts.
//!
//! Knows files and claims, no lattice.

pub mod keystore;
pub mod signing;
pub mod trusted_issuers;
