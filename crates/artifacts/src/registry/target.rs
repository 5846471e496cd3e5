//! Whom a request is for, and what is done there.

/// What is done with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Access {
    Ping,
    Pull,
    Push,
}

/// Whom a request is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    /// As in references; what credentials are filed under.
    pub(super) registry: &'a str,
    pub(super) repository: &'a str,
    pub(super) access: Access,
}
