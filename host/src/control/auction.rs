//! `auction.actor` and `auction.provider`: an offer, or silence. Never an error to a well-formed question: a client
//! would take it for an offer (protocol section 3.4). A client of ours asks each host by itself (`get.{host}.why`), and
//! hears why one declines.

use bytes::Bytes;
use lattice::control::{Ack, AskOffer, AuctionActor, AuctionProvider, Constraints, Offer, decode, encode};

use crate::{
    artifacts::{ArtifactRef, FetchError, Location},
    control::face::Control,
    process::error_chain::error_chain,
    workloads::provider::find_builtin,
};

/// Why this host does not offer to run something.
#[derive(Debug, thiserror::Error)]
pub enum Declined {
    /// A label is missing, or has another value.
    #[error("{}", label(key, wanted, has.as_deref()))]
    Label {
        /// The label.
        key: String,
        /// The value it was to have.
        wanted: String,
        /// The value it has.
        has: Option<String>,
    },
    /// It can never be loaded here.
    #[error(transparent)]
    Artifact(#[from] FetchError),
    /// It runs here.
    #[error("`{reference}` runs here already under link name `{link_name}`")]
    Runs {
        /// As the client wrote it.
        reference: String,
        /// The link name.
        link_name: String,
    },
}

impl Declined {
    /// Stable word for logs, tests and docs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Label { .. } => "label_missing",
            Self::Artifact(error) => error.code(),
            Self::Runs { .. } => "already_running",
        }
    }
}

fn label(key: &str, wanted: &str, has: Option<&str>) -> String {
    match has {
        Some(has) => format!("label `{key}` is `{has}`, not `{wanted}`"),
        None => format!("there is no label `{key}`"),
    }
}

/// Offers to run an actor when every constraint equals a label of this host and the reference could be loaded here.
pub fn actor(control: &Control, body: &Bytes) -> Option<Vec<u8>> {
    match decode::<AuctionActor>(body) {
        Ok(auction) => {
            let question = AskOffer {
                reference: auction.actor_ref.clone(),
                provider: None,
                constraints: auction.constraints.clone(),
            };
            decide(control, &question).is_ok().then(|| encode(&auction.bid(control.identity.host_id)))
        }
        Err(error) => Some(encode(&Ack::refused(error))),
    }
}

/// Offers to run a provider unless it runs here already under that link name.
pub fn provider(control: &Control, body: &Bytes) -> Option<Vec<u8>> {
    match decode::<AuctionProvider>(body) {
        Ok(auction) => {
            let question = AskOffer {
                reference: auction.provider_ref.clone(),
                provider: Some(auction.link_name.clone()),
                constraints: auction.constraints.clone(),
            };
            decide(control, &question).is_ok().then(|| encode(&auction.bid(control.identity.host_id)))
        }
        Err(error) => Some(encode(&Ack::refused(error))),
    }
}

/// The answer to a client of ours.
pub fn offer(control: &Control, question: &AskOffer) -> Offer {
    match decide(control, question) {
        Ok(()) => Offer { accepts: true, code: None, reason: None },
        Err(declined) => {
            Offer { accepts: false, code: Some(declined.code().to_owned()), reason: Some(error_chain(&declined)) }
        }
    }
}

fn decide(control: &Control, question: &AskOffer) -> Result<(), Declined> {
    meets(control, &question.constraints)?;
    let reference = ArtifactRef::parse(&question.reference)?;
    match (reference.location(), &question.provider) {
        (Location::Builtin(name), Some(_)) => drop(find_builtin(&control.workloads.providers, name)?),
        (Location::Builtin(_), None) => {
            return Err(FetchError::NotAnActor { reference: reference.as_str().to_owned() }.into());
        }
        _ => control.admission.artifacts.check(&reference)?,
    }
    match &question.provider {
        Some(link_name) if control.providers.runs(reference.as_str(), link_name) => {
            Err(Declined::Runs { reference: reference.as_str().to_owned(), link_name: link_name.to_string() })
        }
        _ => Ok(()),
    }
}

fn meets(control: &Control, constraints: &Constraints) -> Result<(), Declined> {
    let labels = control.identity.labels.all();
    match constraints.iter().find(|(key, value)| labels.get(*key) != Some(value)) {
        Some((key, wanted)) => {
            Err(Declined::Label { key: key.clone(), wanted: wanted.clone(), has: labels.get(key).cloned() })
        }
        None => Ok(()),
    }
}
