//! What follows from a changed link.

pub mod changes;
pub mod moves;
