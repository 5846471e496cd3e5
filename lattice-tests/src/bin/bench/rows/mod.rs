//! The rows, in groups that share what they are measured on. To add one: a file, a variant and an arm.

pub mod alone;
pub mod bare;
mod host;
mod hosts;
mod http;
mod http_remote;
mod http_warm;
mod instances;
pub mod local_call;
mod many_actors;
mod neighbours;
pub mod relay;
mod remote_call;
mod sign;
mod start_actor;

use anyhow::Result;
use clap::ValueEnum;

use crate::{measure::Plan, report::Row};

/// Rows that are measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Group {
    /// Actor to actor on one host.
    LocalCall,
    /// Actor to actor on two hosts.
    RemoteCall,
    /// Instances and compiled code, by the runtime alone.
    Instances,
    /// HTTP to an actor on the same host.
    Http,
    /// The same, with instances that serve many requests.
    HttpWarm,
    /// HTTP to a provider process, and from there to an actor on another host.
    HttpRemoteProvider,
    /// `wash start actor` until the first answer.
    StartActor,
    /// Start, memory and size of `wash-host`.
    Host,
    /// A quiet actor beside hostile ones.
    Neighbours,
    /// Signing and verifying.
    Sign,
    /// A thousand idle actors, ten thousand starts and stops. Takes minutes, so only when it is named.
    ManyActors,
    /// Ten and a hundred hosts in one lattice. Takes minutes, so only when it is named.
    Hosts,
}

impl Group {
    /// Measures it.
    pub async fn run(self, plan: Plan) -> Result<Vec<Row>> {
        match self {
            Self::LocalCall => local_call::run(plan).await,
            Self::RemoteCall => remote_call::run(plan).await,
            Self::Instances => instances::run(plan).await,
            Self::Http => http::run(plan).await,
            Self::HttpWarm => http_warm::run(plan).await,
            Self::HttpRemoteProvider => http_remote::run(plan).await,
            Self::StartActor => start_actor::run(plan).await,
            Self::Host => host::run(plan).await,
            Self::Neighbours => neighbours::run(plan).await,
            Self::Sign => sign::run(plan).await,
            Self::ManyActors => many_actors::run().await,
            Self::Hosts => hosts::run(plan).await,
        }
    }

    /// Whether it is measured when no group is named.
    pub fn is_usual(self) -> bool {
        !matches!(self, Self::ManyActors | Self::Hosts)
    }
}
