//! Invocations: one signed call from one entity of the lattice to another, and its answer.
//!
//! `entity` owns who calls whom, `envelope` the MessagePack form, `forgery` how a call is signed and checked. Refuses to
//! know links, routes and connections. Invariants: an [`Invocation`] of ours is signed over its whole payload, wherever
//! the payload travels; one of a peer says nothing until [`Invocation::validate`] has accepted it.

mod body;
mod delegation;
mod entity;
mod envelope;
mod forgery;

pub use delegation::{DELEGATION_HEADER, DELEGATION_LIFETIME, Delegation, Delegations, Mark, OWN_KEY_MARK};
pub use entity::Entity;
pub use envelope::{Invocation, InvocationResponse, MAX_ERROR_BYTES, UNKNOWN_INVOCATION};
pub use forgery::{InvocationError, LIFETIME, UNTRUSTED_ISSUER, Verified};

/// Message header of an answer: the stable word of a failure, beside the text in the envelope. Only our hosts send it.
pub const ERROR_CODE_HEADER: &str = "Lattice-Error";

/// Message header of a call: how many milliseconds the caller still waits. Only our hosts send it.
pub const DEADLINE_HEADER: &str = "Lattice-Deadline-Ms";
