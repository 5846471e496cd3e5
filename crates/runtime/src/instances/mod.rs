//! Instances between two calls: those that wait for another one, and those made before the first.
//!
//! Knows nothing of what an instance is.

pub(crate) mod places;
pub(crate) mod prepared;
pub(crate) mod waiting;
