//! What runs on this host, and why: start, scale, update, stop, try again.

pub mod actor;
pub mod provider;
pub mod queue;
pub mod resume;
pub mod revoke;
pub mod starts;
