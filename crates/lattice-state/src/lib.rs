//! What a host knows of its lattice, and how hosts that were apart come to know the same.
//!
//! Two floors. Pure decisions, without `.await`, tested as functions: [`links`], [`claims`], [`scale`], [`owners`],
//! [`revocations`], what is held within bounds ([`known`]) and the [merge] after an outage. And the [`store`]: one task
//! between the tables in memory, the [replica] on disk and the buckets of the lattice.
//!
//! The store reaches the outside through two ports: [`buckets`] (what a broker keeps for everybody) and [`world`] (time and
//! disk). Hosts put JetStream, a clock and redb behind them; the simulation in the tests of this crate puts a broker that can be
//! cut and wiped, clocks that differ and disks that lose what was not kept there, and runs the very same task.
//!
//! Refuses to know: NATS, the runtime, what a host does with a change. Invariants: what was accepted is on the disk of who
//! accepted it; replicas that can talk hold the same; no accepted write is lost without a [`Conflict`](store::Conflict)
//! that names its key.

mod bucket;
pub mod buckets;
pub mod claims;
mod conflict;
pub mod known;
pub mod links;
pub mod merge;
pub mod owners;
pub mod replica;
pub mod revocations;
mod rules;
pub mod scale;
#[cfg(test)]
mod simulation;
pub mod store;
pub mod world;

pub use bucket::Bucket;
