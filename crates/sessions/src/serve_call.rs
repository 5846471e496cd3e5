//! What a host does for its sessions: it carries out the calls that arrive, and says who belongs to the lattice.

use std::{future::Future, time::Instant};

use bytes::Bytes;
use claims::HostId;
use contracts::CallError;
use lattice::{client::Noted, session::CallEntry};

/// A host, as far as its sessions know it. Named once, when they open, and monomorphised in the task that serves.
pub trait ServeCall: Send + Sync + 'static {
    /// Carries out a call that another host sends, if its origin may make it. Ends by `deadline`; dropping the future
    /// ends the call.
    fn serve(&self, call: CallEntry, deadline: Instant) -> impl Future<Output = Result<Bytes, Failed>> + Send;

    /// Whether sessions are given at all now.
    fn takes_sessions(&self) -> bool;

    /// Whether a host is known as a member of the lattice.
    fn is_member(&self, host: &HostId) -> bool;

    /// Another member has taken a signed call, which must not be carried out here when it comes again.
    fn heard(&self, taken: Noted);
}

/// A call that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Whether it was begun. One that was not may be made elsewhere.
    pub begun: bool,
    /// Why.
    pub error: CallError,
}
