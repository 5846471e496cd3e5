//! The lattice host: signed actors, capability providers, links, and the way between them.
//!
//! [`Host::start`] opens a host from a [`HostConfig`]; [`Host::run`] serves until it is told to stop. Which providers
//! are compiled in is the caller's choice. The inside: `control` (one handler per operation), `state` (pure
//! decisions), `router` (every call is decided once), `rpc` (calls that arrive), `providers` (embedded and child
//! processes), `store` (lattice state between replica and JetStream), `revocations` (what must stop, stops), `trust`
//! (whose code and whose ids), `metrics` and `admin` (what can be seen of it).

mod actors;
mod admin;
mod artifacts;
mod breaches;
mod broker;
mod buckets;
pub mod config;
mod config_service;
mod control;
mod core;
mod effects;
mod events;
mod executor;
pub mod guard;
mod heartbeat;
mod host;
pub mod identity;
mod lifecycle;
mod logging;
mod metrics;
mod open_files;
mod peers;
mod policy;
mod providers;
mod reason;
mod revocations;
mod router;
mod rpc;
mod sequencer;
mod sessions;
mod signals;
mod socket;
mod stop;
mod take_up;
mod trust;
mod twins;
mod wanted;
mod why;

// Lattice state is a crate of its own; here it goes by the names of its two rooms.
use lattice_state as state;
use lattice_state::store;

pub use admin::AdminAddress;
pub use config::{ConfigError, HostArgs, HostConfig, LocalNats, PolicyConfig, PolicyDefault};
pub use executor::executor;
pub use host::{Host, HostError, is_in_use, socket_path};
pub use logging::{LogFormat, LoggingError, colors_are_welcome, dropped_log_lines, init_logging};
/// Limits of an actor by name, as a start may set them.
pub use runtime::LimitSettings;
/// The process that compiles what is heavy, which a program with a host is when it is asked to be.
pub use runtime::compile_worker;
pub use signals::until_signal;
pub use telemetry::TracingConfig;
pub use trust::{
    native::{KnownIssuers, NativeIssuers},
    private,
};
