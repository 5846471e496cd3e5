//! Whom this host trusts with what, beyond what a signature says.
//!
//! `native`: whose programs run outside the sandbox. `ownership`: which account may use the id of an actor or provider.
//! `private`: which directories and files nobody else can have changed. Owns no state of its own: lists and records are
//! in `state` and `store`. Invariant: every refusal names the command that changes it.

pub mod native;
pub mod ownership;
