//! Subjects of the control interface.
//!
//! Knows who listens where and in which queue group, not what the messages mean. Invariant: the queue groups are those
//! of every other host of the lattice, so that exactly one host answers what must be answered once; what hosts of others
//! do not serve (`revocations.*`, `owners.*`) has a group of its own, so that they never stand in the way.

use std::{fmt, sync::Arc};

use claims::HostId;

use super::{SubjectError, token, under};
use crate::LatticeId;

/// Where the control interface of one lattice lives.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ControlRoot {
    root: Arc<str>,
    lattice: LatticeId,
}

impl ControlRoot {
    /// What stands before the lattice unless a host is told otherwise.
    pub const DEFAULT_PREFIX: &'static str = "wasmbus.ctl";

    /// The root under the usual prefix.
    #[must_use]
    pub fn new(lattice: LatticeId) -> Self {
        Self { root: format!("{}.{lattice}", Self::DEFAULT_PREFIX).into(), lattice }
    }

    /// The root under a topic prefix, which replaces the whole of [`ControlRoot::DEFAULT_PREFIX`].
    ///
    /// # Errors
    /// When the prefix is not a row of plain subject tokens.
    pub fn with_prefix(prefix: &str, lattice: LatticeId) -> Result<Self, SubjectError> {
        if !prefix.split('.').all(|token| token.parse::<LatticeId>().is_ok()) {
            return Err(SubjectError::Prefix { prefix: prefix.to_owned() });
        }
        Ok(Self { root: format!("{prefix}.{lattice}").into(), lattice })
    }

    /// The lattice.
    #[must_use]
    pub fn lattice(&self) -> &LatticeId {
        &self.lattice
    }

    /// What `host` subscribes to. Several of these are shared with the other hosts through their queue group.
    #[must_use]
    pub fn subscriptions(&self, host: &HostId) -> Vec<Subscription> {
        let alone = |tail: &str| Subscription { subject: format!("{self}.{tail}"), queue_group: None };
        let shared = |tail: &str, group: &str| Subscription {
            subject: format!("{self}.{tail}"),
            queue_group: Some(format!("{self}.{group}")),
        };
        vec![
            alone("ping.hosts"),
            alone("auction.>"),
            alone(&format!("cmd.{host}.*")),
            alone(&format!("get.{host}.inv")),
            alone(&format!("get.{host}.why")),
            alone(&format!("labels.{host}.*")),
            alone("registries.put"),
            shared("linkdefs.*", "linkdefs"),
            shared("get.*", "get"),
            shared("config.>", "config"),
            shared("get.config.>", "get.config"),
            shared("revocations.*", "revocations"),
            shared("owners.*", "owners"),
        ]
    }
}

impl fmt::Display for ControlRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.root)
    }
}

/// One subscription of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The subject, with wildcards.
    pub subject: String,
    /// The queue group; `None` when every host answers.
    pub queue_group: Option<String>,
}

/// What a host is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostCommand {
    /// Set the number of instances of an actor.
    ScaleActor,
    /// Stop an actor.
    StopActor,
    /// Replace a running actor.
    UpdateActor,
    /// Start a provider.
    StartProvider,
    /// Stop a provider.
    StopProvider,
    /// Stop the host.
    StopHost,
}

impl HostCommand {
    /// Every command.
    pub const ALL: [Self; 6] =
        [Self::ScaleActor, Self::StopActor, Self::UpdateActor, Self::StartProvider, Self::StopProvider, Self::StopHost];

    /// The last token of its subject.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ScaleActor => "scale",
            Self::StopActor => "sa",
            Self::UpdateActor => "upd",
            Self::StartProvider => "lp",
            Self::StopProvider => "sp",
            Self::StopHost => "stop",
        }
    }
}

/// Whose configuration, and which entry. Both are one subject token; whether the entity is an actor or a provider is
/// for the handler to say, which answers with a sentence of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConfigKey {
    /// Public key of an actor or provider.
    pub entity: String,
    /// Name of the entry.
    pub key: String,
}

/// One operation of the control interface, with everything that stands in its subject.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ControlSubject {
    /// Which hosts are there?
    PingHosts,
    /// Which host can run this actor?
    AuctionActor,
    /// Which host can run this provider?
    AuctionProvider,
    /// Tell a host to do something.
    Command(HostId, HostCommand),
    /// What does a host run?
    GetInventory(HostId),
    /// What does a host know of something that does not work? Ours; hosts of others do not serve it.
    AskWhy(HostId),
    /// Set a label of a host.
    PutLabel(HostId),
    /// Remove a label of a host.
    DeleteLabel(HostId),
    /// Give every host credentials of registries.
    PutRegistries,
    /// Add a link.
    PutLink,
    /// Remove a link.
    DeleteLink,
    /// All claims of the lattice.
    GetClaims,
    /// All links of the lattice.
    GetLinks,
    /// Set a configuration entry.
    PutConfig(ConfigKey),
    /// Remove a configuration entry.
    DeleteConfig(ConfigKey),
    /// Remove all configuration of an entity.
    ClearConfig(String),
    /// Read a configuration entry.
    GetConfig(ConfigKey),
    /// Read all configuration of an entity.
    GetAllConfig(String),
    /// Give the lattice a signed list of what must no longer run. Ours; hosts of others do not serve it.
    PutRevocations,
    /// The signed lists in force. Ours, as well.
    GetRevocations,
    /// Let an actor or provider belong to another account. Ours, as well.
    PutOwner,
}

impl ControlSubject {
    /// Renders the subject. Configuration entities and keys must be single tokens, as [`ControlSubject::parse`]
    /// returns them; the control client checks what a user typed.
    #[must_use]
    pub fn render(&self, root: &ControlRoot) -> String {
        match self {
            Self::PingHosts => format!("{root}.ping.hosts"),
            Self::AuctionActor => format!("{root}.auction.actor"),
            Self::AuctionProvider => format!("{root}.auction.provider"),
            Self::Command(host, command) => format!("{root}.cmd.{host}.{}", command.as_str()),
            Self::GetInventory(host) => format!("{root}.get.{host}.inv"),
            Self::AskWhy(host) => format!("{root}.get.{host}.why"),
            Self::PutLabel(host) => format!("{root}.labels.{host}.put"),
            Self::DeleteLabel(host) => format!("{root}.labels.{host}.del"),
            Self::PutRegistries => format!("{root}.registries.put"),
            Self::PutLink => format!("{root}.linkdefs.put"),
            Self::DeleteLink => format!("{root}.linkdefs.del"),
            Self::GetClaims => format!("{root}.get.claims"),
            Self::GetLinks => format!("{root}.get.links"),
            Self::PutConfig(ConfigKey { entity, key }) => format!("{root}.config.put.{entity}.{key}"),
            Self::DeleteConfig(ConfigKey { entity, key }) => format!("{root}.config.del.{entity}.{key}"),
            Self::ClearConfig(entity) => format!("{root}.config.clear.{entity}"),
            Self::GetConfig(ConfigKey { entity, key }) => format!("{root}.get.config.{entity}.{key}"),
            Self::GetAllConfig(entity) => format!("{root}.get.config.{entity}"),
            Self::PutRevocations => format!("{root}.revocations.put"),
            Self::GetRevocations => format!("{root}.revocations.get"),
            Self::PutOwner => format!("{root}.owners.put"),
        }
    }

    /// Reads a subject. `config.del.{entity}` without a key is what one client sends to clear, and is read so.
    ///
    /// # Errors
    /// [`SubjectError`]; its text is what a host answers.
    pub fn parse(root: &ControlRoot, subject: &str) -> Result<Self, SubjectError> {
        let tail = under(&root.root, subject)?;
        // No form has more than four tokens; a fifth makes the subject unsupported.
        let mut tokens = [""; 5];
        let mut count = 0;
        for (slot, token) in tokens.iter_mut().zip(tail.split('.')) {
            *slot = token;
            count += 1;
        }
        let config = |entity: &str, key: &str| ConfigKey { entity: entity.to_owned(), key: key.to_owned() };
        let host = |text: &str| token::<HostId>(text, "host id");
        let tokens = &tokens[..count];
        if tokens.contains(&"") {
            return Err(SubjectError::Unsupported { subject: subject.to_owned() });
        }
        Ok(match *tokens {
            ["ping", "hosts"] => Self::PingHosts,
            ["auction", "actor"] => Self::AuctionActor,
            ["auction", "provider"] => Self::AuctionProvider,
            ["registries", "put"] => Self::PutRegistries,
            ["linkdefs", "put"] => Self::PutLink,
            ["linkdefs", "del"] => Self::DeleteLink,
            ["revocations", "put"] => Self::PutRevocations,
            ["revocations", "get"] => Self::GetRevocations,
            ["owners", "put"] => Self::PutOwner,
            ["get", "claims"] => Self::GetClaims,
            ["get", "links"] => Self::GetLinks,
            ["get", "config", entity] => Self::GetAllConfig(entity.to_owned()),
            ["get", "config", entity, key] => Self::GetConfig(config(entity, key)),
            ["get", id, "inv"] => Self::GetInventory(host(id)?),
            ["get", id, "why"] => Self::AskWhy(host(id)?),
            ["config", "put", entity, key] => Self::PutConfig(config(entity, key)),
            ["config", "del", entity, key] => Self::DeleteConfig(config(entity, key)),
            ["config", "clear" | "del", entity] => Self::ClearConfig(entity.to_owned()),
            ["labels", id, "put"] => Self::PutLabel(host(id)?),
            ["labels", id, "del"] => Self::DeleteLabel(host(id)?),
            ["cmd", id, word] => match HostCommand::ALL.into_iter().find(|command| command.as_str() == word) {
                Some(command) => Self::Command(host(id)?, command),
                None => return Err(SubjectError::Unsupported { subject: subject.to_owned() }),
            },
            _ => return Err(SubjectError::Unsupported { subject: subject.to_owned() }),
        })
    }
}
