//! What every provider of a contract must do, whatever it is made of.
//!
//! A suite drives a provider through calls alone, so the same suite runs on the trait and on a process behind a host.
//! Knows no provider and no lattice. Invariant: a check panics with what it expected and what it got, and leaves nothing
//! that another check could meet.

pub mod keyvalue;

use async_trait::async_trait;
use bytes::Bytes;
use claims::ActorId;
use contracts::CallError;

/// A provider under test, and the actors linked to it.
#[async_trait]
pub trait World: Send + Sync {
    /// A new actor with a link that shares nothing with any other.
    async fn actor(&self) -> ActorId;

    /// Two new actors whose links lead to the same data, if the provider has such links.
    async fn sharing(&self) -> Option<(ActorId, ActorId)>;

    /// Takes the link of an actor back, and waits until that is done.
    async fn unlink(&self, actor: &ActorId);

    /// One call of an actor.
    ///
    /// # Errors
    /// What the provider answers.
    async fn call(&self, actor: &ActorId, operation: &str, argument: Bytes) -> Result<Bytes, CallError>;
}
