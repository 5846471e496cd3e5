//! What runs on this host, and why: start, scale, update, stop, try again, revoke.
//!
//! [`Workloads`] is the face. Commands are queued in the order they came, under every name that what they are about goes
//! by; what is wanted is changed first, then what runs.

pub mod actor;
mod admission;
mod desired;
pub mod provider;
mod queue;
mod resume;
mod revoke;
mod starts;
mod vacancy;

pub use self::{
    actor::{ActorWorkloads, Reports},
    admission::Admission,
    desired::Desired,
    provider::ProviderWorkloads,
    queue::{Outcome, Workloads},
    starts::Starts,
};
