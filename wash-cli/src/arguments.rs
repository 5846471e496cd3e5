//! What the words of a command line mean: references, pairs, limits, units, grants, and the spellings of older versions.
//!
//! Knows no lattice and no key.

pub mod grants;
pub mod legacy;
pub mod limits;
pub mod pairs;
pub mod reference;
pub mod units;
