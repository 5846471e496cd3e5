//! Artifacts: what a reference means, how its bytes come from an OCI registry, and the cache they are kept in.
//!
//! Used by hosts and by `wash`. Knows registries, digests and files; knows no lattice and starts nothing. Invariant:
//! bytes that leave this crate have the digest that was asked for.
