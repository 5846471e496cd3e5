//! The other end of what failed, as an actor sees it.

use std::fmt;

use claims::{ActorId, ProviderId};
use lattice::{LinkName, control::FailureKind};
use runtime::OutboundTarget;

/// Longest name that is kept, in characters: a guest may call anything.
const MOST_NAME: usize = 128;

/// The other end of what failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A contract under a link name.
    Link {
        /// The contract.
        contract: String,
        /// The link name.
        link_name: String,
    },
    /// An actor by its key or call alias.
    Actor(String),
    /// Whoever called it over the lattice.
    Caller {
        /// The contract, where a provider called.
        contract: Option<String>,
    },
    /// A provider that called it, or that ended.
    Provider {
        /// The provider.
        id: ProviderId,
        /// The link name it runs under.
        link_name: String,
    },
    /// A start from this reference.
    Start(String),
}

impl Peer {
    /// What an actor asked for.
    pub fn asked_for(target: &OutboundTarget) -> Self {
        match target {
            OutboundTarget::Link { contract, link_name } => Self::link(contract, link_name),
            OutboundTarget::Actor { name } => Self::Actor(cut(name)),
            OutboundTarget::Unresolved { binding, namespace } if namespace.contains(':') => {
                Self::link(namespace, if binding.is_empty() { "default" } else { binding })
            }
            OutboundTarget::Unresolved { namespace, .. } => Self::Actor(cut(namespace)),
        }
    }

    /// A link.
    pub fn link(contract: &str, link_name: &str) -> Self {
        Self::Link { contract: cut(contract), link_name: cut(link_name) }
    }

    /// Whoever called over the lattice; a provider by its contract.
    pub fn caller(contract: Option<&str>) -> Self {
        Self::Caller { contract: contract.map(cut) }
    }

    /// The contract, of a link or of a provider that called.
    pub fn contract(&self) -> Option<&str> {
        match self {
            Self::Link { contract, .. } => Some(contract),
            Self::Caller { contract } => contract.as_deref(),
            _ => None,
        }
    }

    /// The link name, of a link or provider.
    pub fn link_name(&self) -> Option<&str> {
        match self {
            Self::Link { link_name, .. } | Self::Provider { link_name, .. } => Some(link_name),
            _ => None,
        }
    }

    /// Key or name of an actor or provider.
    pub fn key(&self) -> Option<String> {
        match self {
            Self::Actor(name) => Some(name.clone()),
            Self::Provider { id, .. } => Some(id.to_string()),
            _ => None,
        }
    }

    /// What kind of thing it is that failed.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Link { .. } | Self::Actor(_) => FailureKind::Outgoing,
            Self::Caller { .. } => FailureKind::Arrival,
            Self::Provider { .. } => FailureKind::Provider,
            Self::Start(_) => FailureKind::Start,
        }
    }

    /// Whether it is this provider, under this link name.
    pub fn is_provider(&self, provider: &ProviderId, name: &LinkName) -> bool {
        matches!(self, Self::Provider { id, link_name } if id == provider && link_name == name.as_str())
    }

    /// An actor.
    pub fn actor(id: &ActorId) -> Self {
        Self::Actor(id.to_string())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link { contract, link_name } => write!(f, "link `{link_name}` for `{contract}`"),
            Self::Actor(name) => write!(f, "call of actor `{name}`"),
            Self::Caller { contract: Some(contract) } => {
                write!(f, "call that a provider of `{contract}` made over the lattice")
            }
            Self::Caller { contract: None } => f.write_str("call that came over the lattice"),
            Self::Provider { id, link_name } => write!(f, "provider `{id}` under link name `{link_name}`"),
            Self::Start(reference) => write!(f, "start of `{reference}`"),
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MOST_NAME).collect()
}
