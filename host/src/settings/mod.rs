//! Every setting of a host, in one table: flag, environment variable, default, meaning (protocol section 8.1).
//!
//! [`HostArgs`] is what an operator writes; [`HostConfig`] is what the host uses. [`HostArgs::into_config`] collects
//! every problem and reports them together: a wrong setting stops the start.

mod admin_address;
mod args;
mod artifacts;
mod buckets;
mod config;
mod engine;
mod issuers;
mod limits;
mod local_nats;
mod native;
mod nats;
mod policy;
mod problems;
mod telemetry;
mod timings;

use self::problems::Problems;
pub use self::{
    admin_address::AdminAddress,
    args::HostArgs,
    artifacts::{ArtifactArgs, ArtifactConfig, RegistryLogin},
    buckets::{BucketArgs, BucketSettings},
    config::HostConfig,
    engine::EngineArgs,
    limits::LimitArgs,
    local_nats::LocalNats,
    native::{KnownIssuers, NativeIssuers},
    nats::{NatsLoginArgs, ProviderLogin},
    policy::{PolicyArgs, PolicyConfig, PolicyDefault},
    problems::ConfigError,
    telemetry::TelemetryArgs,
    timings::Timings,
};

#[cfg(test)]
mod tests;
