//! The control interface: one handler per operation, the same for every transport (protocol sections 3.2, 3.3).
//!
//! Decodes, refuses and answers; what is asked for is done by the rooms below. Commands are acknowledged first and end in
//! events. Queries read snapshots and never wait for work. Invariant: the order in which commands for one thing arrive is
//! the order in which they are applied.

mod auction;
mod claims;
mod commands;
mod config;
mod dispatch;
mod face;
mod labels;
mod links;
mod nats;
mod owners;
mod registries;
mod revocations;
pub mod socket;
mod why;

pub use self::{
    face::Control,
    nats::{serve, subscribe},
};
