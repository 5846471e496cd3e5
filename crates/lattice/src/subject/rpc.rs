//! Subjects of calls between actors and providers, and of what a host tells a provider.
//!
//! Knows addresses, not payloads. Invariant: all hosts that run an actor, and all processes of a provider, share one
//! queue group each, so that one of them answers a call.

use claims::{ActorId, HostId, ProviderId};

use super::{SubjectError, token, under};
use crate::{LatticeId, LinkName};

/// Last tokens of the subjects of a host.
const SESSION: &str = "session";
const CALLS: &str = "calls";
const ANSWERS: &str = "answers";
const SEEN: &str = "seen";
const RELAY: &str = "relay.call";

/// An address on the RPC side of the lattice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RpcSubject {
    /// Calls to an actor.
    Actor(ActorId),
    /// Calls to a provider.
    Provider {
        /// The provider.
        id: ProviderId,
        /// The link name it runs under.
        link_name: LinkName,
    },
    /// Links that a provider is to serve.
    LinkPut {
        /// The provider.
        id: ProviderId,
        /// The link name it runs under.
        link_name: LinkName,
    },
    /// Links that a provider is to drop.
    LinkDel {
        /// The provider.
        id: ProviderId,
        /// The link name it runs under.
        link_name: LinkName,
    },
    /// Health checks of a provider.
    Health {
        /// The provider.
        id: ProviderId,
        /// The link name it runs under.
        link_name: LinkName,
    },
    /// Questions of other hosts for a session. Ours; hosts of others do not serve it.
    Session(HostId),
    /// Batches of calls of sessions. Ours, as well.
    Calls(HostId),
    /// Batches of answers of sessions. Ours, as well.
    Answers(HostId),
    /// Which signed calls other hosts have carried out. Ours, as well.
    Seen(HostId),
    /// Calls of provider processes that their host is to make for them. Ours, as well.
    Relay(HostId),
    /// The request to a provider to end.
    Shutdown {
        /// The provider.
        id: ProviderId,
        /// The link name it runs under.
        link_name: LinkName,
    },
}

impl RpcSubject {
    fn root(lattice: &LatticeId) -> String {
        format!("wasmbus.rpc.{lattice}")
    }

    /// Renders the subject.
    #[must_use]
    pub fn render(&self, lattice: &LatticeId) -> String {
        let root = Self::root(lattice);
        match self {
            Self::Actor(id) => format!("{root}.{id}"),
            Self::Provider { id, link_name } => format!("{root}.{id}.{link_name}"),
            Self::LinkPut { id, link_name } => format!("{root}.{id}.{link_name}.linkdefs.put"),
            Self::LinkDel { id, link_name } => format!("{root}.{id}.{link_name}.linkdefs.del"),
            Self::Health { id, link_name } => format!("{root}.{id}.{link_name}.health"),
            Self::Shutdown { id, link_name } => format!("{root}.{id}.{link_name}.shutdown"),
            Self::Session(host) => format!("{root}.{host}.{SESSION}"),
            Self::Calls(host) => format!("{root}.{host}.{CALLS}"),
            Self::Answers(host) => format!("{root}.{host}.{ANSWERS}"),
            Self::Seen(host) => format!("{root}.{host}.{SEEN}"),
            Self::Relay(host) => format!("{root}.{host}.{RELAY}"),
        }
    }

    /// The queue group of those who serve it, if it has one.
    #[must_use]
    pub fn queue_group(&self, lattice: &LatticeId) -> Option<String> {
        match self {
            Self::Actor(_) => Some(self.render(lattice)),
            Self::Provider { .. } => Some("rpc".to_owned()),
            Self::LinkPut { .. } | Self::LinkDel { .. } | Self::Health { .. } | Self::Shutdown { .. } => None,
            Self::Session(_) | Self::Calls(_) | Self::Answers(_) | Self::Seen(_) | Self::Relay(_) => None,
        }
    }

    /// Reads a subject.
    ///
    /// # Errors
    /// [`SubjectError`] when nothing of this lattice is served there.
    pub fn parse(lattice: &LatticeId, subject: &str) -> Result<Self, SubjectError> {
        let tail = under(&Self::root(lattice), subject)?;
        let Some((id, rest)) = tail.split_once('.') else {
            return Ok(Self::Actor(token(tail, "actor id")?));
        };
        if let Ok(host) = id.parse::<HostId>() {
            return match rest {
                SESSION => Ok(Self::Session(host)),
                CALLS => Ok(Self::Calls(host)),
                ANSWERS => Ok(Self::Answers(host)),
                SEEN => Ok(Self::Seen(host)),
                RELAY => Ok(Self::Relay(host)),
                _ => Err(SubjectError::Unsupported { subject: subject.to_owned() }),
            };
        }
        let (link_name, what) = rest.split_once('.').map_or((rest, ""), |(name, what)| (name, what));
        let id: ProviderId = token(id, "provider id")?;
        let link_name: LinkName = token(link_name, "link name")?;
        match what {
            "" if !rest.contains('.') => Ok(Self::Provider { id, link_name }),
            "linkdefs.put" => Ok(Self::LinkPut { id, link_name }),
            "linkdefs.del" => Ok(Self::LinkDel { id, link_name }),
            "health" => Ok(Self::Health { id, link_name }),
            "shutdown" => Ok(Self::Shutdown { id, link_name }),
            _ => Err(SubjectError::Unsupported { subject: subject.to_owned() }),
        }
    }
}
