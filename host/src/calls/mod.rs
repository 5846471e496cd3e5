//! One call in every direction: out of a guest, from a provider, from the lattice. The hot path of a host.
//!
//! [`Calls`] is the face. Invariant: a call ends with an answer or a `CallError` that names the failed step, by its deadline
//! at the latest.

mod arrive;
mod face;
mod from_provider;
mod inbound;
mod lost;
mod origin;
mod out;
mod permission;
mod queue_subscription;
mod relay;
mod serve_sessions;
mod sessions;
mod to_embedded;

pub use self::{
    face::Calls,
    from_provider::EmbeddedActors,
    inbound::Inbound,
    out::ActorOutbound,
    permission::Permission,
    queue_subscription::serve_actor,
    relay::serve as make_calls_for_processes,
    sessions::{Sessions, open_sessions},
    to_embedded::serve as serve_embedded,
};

#[cfg(test)]
mod tests;
