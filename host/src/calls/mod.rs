//! One call in every direction: out of a guest, from a provider, from the lattice. The hot path of a host.

pub mod arrive;
pub mod from_provider;
pub mod origin;
pub mod out;
pub mod queue_subscription;
pub mod relay;
pub mod to_embedded;
