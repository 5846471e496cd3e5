//! The buckets that are replicated. Their names on a broker are spelled in `lattice::subject`.

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// Links and claims.
    Lattice,
    /// Configuration of actors and providers.
    Config,
    /// Revocation lists, and ownership records.
    Revocations,
}

impl Bucket {
    /// All of them, in the order in which they are compared: what must stop comes first.
    pub const ALL: [Self; 3] = [Self::Revocations, Self::Lattice, Self::Config];
    /// Those whose keys are merged one by one; [`Bucket::Revocations`] holds signed statements, which have a rule of their own.
    pub const MERGED: [Self; 2] = [Self::Lattice, Self::Config];
}
