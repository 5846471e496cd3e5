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
mod calls;
mod control;
mod events;
mod failures;
mod host;
mod identity;
mod inventory;
mod links;
mod meters;
mod nats;
mod peers;
mod policy;
mod presence;
mod process;
mod providers;
pub mod settings;
mod trust;
mod workloads;

pub use host::{Host, HostError, is_in_use, socket_path};
pub use process::{
    executor::executor,
    guard,
    logging::{LogFormat, LoggingError, colors_are_welcome, dropped_log_lines, init_logging},
    private,
    signals::until_signal,
};
/// Limits of an actor by name, as a start may set them.
pub use runtime::LimitSettings;
/// The process that compiles what is heavy, which a program with a host is when it is asked to be.
pub use runtime::compile_worker;
pub use settings::{
    AdminAddress, ConfigError, HostArgs, HostConfig, KnownIssuers, LocalNats, NativeIssuers, PolicyConfig,
    PolicyDefault,
};
pub use telemetry::TracingConfig;
