//! Control messages: what an operator asks of hosts and what hosts answer (protocol section 3).
//!
//! One file per family of operations; JSON only, no subjects (see [`crate::subject`]) and no transport (see
//! `crate::client`). Decoders are as lenient as the protocol says and no more. Invariants: a request is a JSON object,
//! never the positional array that serde would accept in its place; an answer of a host is escaped JSON.

mod ack;
mod auction;
mod claims;
mod config;
mod host;
mod inventory;
mod label;
mod lenient;
mod links;
mod owners;
mod registries;
mod revocations;
mod scale_actor;
mod start_provider;
mod stop_actor;
mod stop_host;
mod stop_provider;
mod update_actor;
mod why;

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};

use crate::bounds::LimitExceeded;

pub use self::{
    ack::Ack,
    auction::{ActorBid, AuctionActor, AuctionProvider, Constraints, ProviderBid},
    claims::{ClaimsReply, ClaimsRow, GetClaims},
    config::{ConfigValue, ConfigValues, INVALID_CONFIG_ENTITY, config_entity},
    host::{HostSummary, uptime_human},
    inventory::{ActorDescription, ActorInstance, HostInventory, ProviderDescription},
    label::{DeleteLabel, PutLabel},
    links::{DeleteLink, GetLinks, LinksReply},
    owners::PutOwner,
    registries::{RegistryCredential, RegistryCredentials},
    revocations::{GetRevocations, PutRevocations, RevocationsReply, SignedList},
    scale_actor::{ScaleActor, UNBOUNDED},
    start_provider::StartProvider,
    stop_actor::StopActor,
    stop_host::StopHost,
    stop_provider::StopProvider,
    update_actor::UpdateActor,
    why::{
        ActorState, AskOffer, AskWhy, FailureKind, FailureRecord, ForbiddenSubject, NatsProblem, NatsState, Offer,
        PolicyState, ProviderState, WhyReply,
    },
};

/// Notes on a workload, compared by equality (protocol section 8.3).
pub type Annotations = BTreeMap<String, String>;

/// Limits of an actor: name and value as an operator writes them, `memory` and `64MiB`.
pub type Limits = BTreeMap<String, String>;

/// Facts about a host.
pub type Labels = BTreeMap<String, String>;

/// Error text for a subject that somebody subscribes to but nobody handles.
pub const UNSUPPORTED_SUBJECT: &str = "unsupported subject";

/// A request of the control interface.
pub trait ControlRequest: Serialize + DeserializeOwned {
    /// What the error text calls it: `failed to deserialize {WHAT}: …`.
    const WHAT: &'static str;

    /// Whether it asks for no more than may be kept, and told to others. Every text that a host keeps has a bound here.
    ///
    /// # Errors
    /// [`LimitExceeded`].
    fn check_size(&self) -> Result<(), LimitExceeded> {
        Ok(())
    }
}

impl ControlRequest for crate::Link {
    const WHAT: &'static str = "link definition";
}

/// A request that is not taken. Its text goes into the ack as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It cannot be decoded.
    #[error("failed to deserialize {what}: {reason}")]
    Malformed {
        /// Which request, as in [`ControlRequest::WHAT`].
        what: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// It says more than may be.
    #[error(transparent)]
    LimitExceeded(#[from] LimitExceeded),
}

/// Decodes a request.
///
/// # Errors
/// [`DecodeError`] for everything that is not a JSON object with the members the request needs, and within bounds.
///
/// ```
/// use lattice::control::{decode, ScaleActor};
///
/// let error = decode::<ScaleActor>(b"[]").expect_err("an array is not a command");
/// assert_eq!(error.to_string(), "failed to deserialize actor scale command: expected a JSON object");
/// ```
pub fn decode<T: ControlRequest>(body: &[u8]) -> Result<T, DecodeError> {
    let fail = |reason: String| DecodeError::Malformed { what: T::WHAT, reason };
    if !is_object(body) {
        return Err(fail("expected a JSON object".to_owned()));
    }
    let request: T = serde_json::from_slice(body).map_err(|error| fail(error.to_string()))?;
    request.check_size()?;
    Ok(request)
}

/// Encodes a request or a reply as JSON.
///
/// # Panics
/// Never for the types of this module: their maps have string keys and their `Serialize` cannot fail.
pub fn encode<T: Serialize + ?Sized>(message: &T) -> Vec<u8> {
    serde_json::to_vec(message).expect("control messages are plain JSON data")
}

/// Whether the first thing in the text opens a JSON object.
pub(crate) fn is_object(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}
