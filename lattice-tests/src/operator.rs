//! An operator: commands to a lattice, each awaited until the lattice says how it ended.
//!
//! Over NATS or over the control socket of one host, with the same methods. An event is subscribed to before its
//! command is sent, so none is missed.

use std::{collections::BTreeMap, future::Future, time::Duration};

use claims::{ActorId, HostId, ProviderId};
use lattice::{
    Link, LinkName,
    client::{ControlClient, ControlError, EventStream},
    control::{AuctionActor, HostInventory, HostSummary, ScaleActor, StartProvider, StopActor, StopProvider},
    event::{Event, EventData},
};
use tokio::time::timeout;

use crate::HTTPSERVER;

/// Longest wait for the event that ends a command. The longest takes a host that compiles a whole language runtime as one
/// of its actors, on a machine with other things to do.
const LIMIT: Duration = Duration::from_secs(240);

/// A way to command a lattice.
#[derive(Clone)]
pub struct Operator {
    /// The client, for what has no method here.
    pub control: ControlClient,
}

impl Operator {
    /// The hosts that answer.
    ///
    /// # Errors
    /// When none does.
    pub async fn hosts(&self) -> Result<Vec<HostSummary>, ControlError> {
        self.control.hosts().await.map(|gathered| gathered.replies)
    }

    /// What a host runs.
    ///
    /// # Panics
    /// When it does not say.
    pub async fn inventory(&self, host: &HostId) -> HostInventory {
        self.control.inventory(host).await.expect("a host tells its inventory")
    }

    /// Hosts that bid for an actor under these constraints.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn bidders(&self, reference: &str, constraints: &[(&str, &str)]) -> Result<Vec<HostId>, ControlError> {
        let constraints = constraints.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let auction = AuctionActor { actor_ref: reference.to_owned(), constraints };
        let bids = self.control.auction_actor(&auction).await?;
        Ok(bids.replies.iter().map(|bid| bid.host_id).collect())
    }

    /// Scales an actor on a host and waits for the outcome.
    ///
    /// # Errors
    /// The reason the host gives.
    pub async fn scale(&self, host: &HostId, reference: &str, max_instances: u32) -> Result<ActorId, String> {
        self.scale_as(host, ScaleActor { actor_ref: reference.to_owned(), max_instances, ..ScaleActor::default() })
            .await
    }

    /// Starts an actor with limits of its own, or gives them to one that runs, and waits for the outcome.
    ///
    /// # Errors
    /// The reason the host gives.
    pub async fn limit(&self, host: &HostId, reference: &str, limits: &[(&str, &str)]) -> Result<ActorId, String> {
        let limits = limits.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let actor_ref = reference.to_owned();
        let command = ScaleActor { actor_ref, max_instances: 1, limits: Some(limits), ..ScaleActor::default() };
        self.scale_as(host, command).await
    }

    /// Carries out a start in all its words and waits for the outcome.
    ///
    /// # Errors
    /// The reason the host gives.
    pub async fn scale_as(&self, host: &HostId, command: ScaleActor) -> Result<ActorId, String> {
        let reference = command.actor_ref.as_str();
        let wanted = |event: &Event| match &event.data {
            EventData::ActorScaled(data) if data.host_id == *host && data.image_ref == reference => {
                Some(Ok(data.public_key))
            }
            EventData::ActorScaleFailed(data) if data.host_id == *host && data.image_ref == reference => {
                Some(Err(data.error.clone()))
            }
            _ => None,
        };
        self.await_event(wanted, self.control.scale_actor(host, &command)).await
    }

    /// Starts an actor on a host and waits until it runs.
    ///
    /// # Errors
    /// The reason the host gives.
    pub async fn start_actor(&self, host: &HostId, reference: &str) -> Result<ActorId, String> {
        self.scale(host, reference, 10).await
    }

    /// Stops an actor.
    ///
    /// # Errors
    /// The reason the host gives.
    pub async fn stop_actor(&self, host: &HostId, actor: &ActorId) -> Result<(), ControlError> {
        let command = StopActor { actor_id: *actor, annotations: BTreeMap::new(), host_id: String::new() };
        self.control.stop_actor(host, &command).await
    }

    /// Starts a provider on a host and waits until it runs.
    ///
    /// # Errors
    /// The reason the host gives.
    pub async fn start_provider(&self, host: &HostId, reference: &str) -> Result<ProviderId, String> {
        let command = StartProvider {
            provider_ref: reference.to_owned(),
            link_name: LinkName::default(),
            annotations: BTreeMap::new(),
            configuration: None,
            host_id: String::new(),
        };
        let wanted = |event: &Event| match &event.data {
            EventData::ProviderStarted(data) if data.host_id == *host && data.image_ref == reference => {
                Some(Ok(data.public_key))
            }
            EventData::ProviderStartFailed(data) if data.provider_ref == reference => Some(Err(data.error.clone())),
            _ => None,
        };
        self.await_event(wanted, self.control.start_provider(host, &command)).await
    }

    /// Stops a provider.
    ///
    /// # Errors
    /// The reason the host gives.
    pub async fn stop_provider(&self, host: &HostId, provider: &ProviderId) -> Result<(), ControlError> {
        let command = StopProvider {
            provider_id: *provider,
            contract_id: HTTPSERVER.parse().ok(),
            link_name: LinkName::default(),
            annotations: BTreeMap::new(),
            host_id: String::new(),
        };
        self.control.stop_provider(host, &command).await
    }

    /// Puts an HTTP server link and waits until a provider has taken or refused it.
    ///
    /// # Errors
    /// The reason the provider gives.
    pub async fn link(&self, actor: &ActorId, provider: &ProviderId, values: &[(&str, &str)]) -> Result<(), String> {
        self.put(&http_link(actor, provider, values)).await
    }

    /// Puts any link and waits until a provider has taken or refused it.
    ///
    /// # Errors
    /// The reason the provider gives.
    pub async fn put(&self, link: &Link) -> Result<(), String> {
        let wanted = |event: &Event| match &event.data {
            EventData::LinkdefApplied(data) | EventData::LinkdefSent(data) | EventData::LinkdefWaiting(data)
                if data.id == link.id() =>
            {
                Some(Ok(()))
            }
            EventData::LinkdefFailed(data) if data.link.id == link.id() => Some(Err(data.error.clone())),
            _ => None,
        };
        self.await_event(wanted, self.control.put_link(link)).await
    }

    /// Deletes an HTTP server link.
    ///
    /// # Errors
    /// The reason the host gives.
    ///
    /// # Panics
    /// Never: the contract id is one.
    pub async fn unlink(&self, actor: &ActorId) -> Result<(), ControlError> {
        let contract = HTTPSERVER.parse().expect("a contract id");
        self.control.delete_link(actor, &contract, &LinkName::default()).await
    }

    /// Sends a command and waits for the event that `wanted` recognises.
    async fn await_event<T>(
        &self,
        wanted: impl Fn(&Event) -> Option<Result<T, String>>,
        command: impl Future<Output = Result<(), ControlError>>,
    ) -> Result<T, String> {
        let mut events = self.events().await;
        command.await.map_err(|error| error.to_string())?;
        let mut seen = Vec::new();
        let outcome = timeout(LIMIT, async {
            while let Some(event) = events.next().await {
                if let Some(outcome) = wanted(&event) {
                    return outcome;
                }
                seen.push(event.data.name().to_owned());
            }
            Err("the events ended".to_owned())
        });
        outcome.await.unwrap_or_else(|_| panic!("the command has no outcome within {LIMIT:?}; seen: {seen:?}"))
    }

    /// What happens from now on.
    ///
    /// # Panics
    /// When nobody tells.
    pub async fn events(&self) -> EventStream {
        self.control.events().await.expect("events can be heard")
    }
}

/// A link of an actor to an HTTP server.
///
/// # Panics
/// Never: the contract id is one.
#[must_use]
pub fn http_link(actor: &ActorId, provider: &ProviderId, values: &[(&str, &str)]) -> Link {
    link(actor, provider, HTTPSERVER, values)
}

/// A link of an actor to any provider, under the link name `default`.
///
/// # Panics
/// When the contract is no contract id.
#[must_use]
pub fn link(actor: &ActorId, provider: &ProviderId, contract: &str, values: &[(&str, &str)]) -> Link {
    Link {
        actor_id: *actor,
        provider_id: *provider,
        contract_id: contract.parse().expect("a contract id"),
        link_name: LinkName::default(),
        values: values.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect(),
    }
}
