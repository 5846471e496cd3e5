//! Who else has what is called.

use claims::HostId;

/// Who runs an actor, this host aside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// Members that speak our sessions.
    pub hosts: Vec<HostId>,
    /// Whether there are others, or some of which this is not known. They are called the signed way.
    pub others: bool,
}
