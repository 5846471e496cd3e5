//! A lattice as commands see it: how it is reached, who is in it, where something new goes, what its events mean.

pub mod actor_events;
pub mod connection;
pub mod placement;
pub mod reach;
pub mod resolve;
pub mod revocations;
pub mod view;
pub mod watch;
