//! Subjects of the control interface.
//!
//! Knows who listens where and in which queue group, not what the messages mean. Invariant: the queue groups are those
//! of every other host of the lattice, so that exactly one host answers what must be answered once; what hosts of others
//! do not serve (`revocations.*`, `owners.*`) has a group of its own, so that they never stand in the way.

mod names;
mod operation;
mod table;

use std::{fmt, sync::Arc};

use claims::HostId;

use self::operation::{Found, fit, is_open};
pub use self::{
    names::{ConfigKey, ControlSubject, HostCommand},
    operation::{Answers, Operation},
    table::OPERATIONS,
};
use super::{SubjectError, under};
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
        let mut subscriptions: Vec<Subscription> = Vec::new();
        for operation in OPERATIONS {
            let subject = format!("{self}.{}", operation.listens.replace("{host}", host.as_str()));
            let queue_group = match operation.answers {
                Answers::One(group) => Some(format!("{self}.{group}")),
                Answers::Every | Answers::Offers | Answers::Named => None,
            };
            if !subscriptions.iter().any(|known| known.subject == subject) {
                subscriptions.push(Subscription { subject, queue_group });
            }
        }
        subscriptions
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

impl ControlSubject {
    /// Its entry in the table. There is no arm for the rest: a new operation cannot be forgotten.
    #[must_use]
    pub fn operation(&self) -> &'static Operation {
        match self {
            Self::PingHosts => &table::PING_HOSTS,
            Self::AuctionActor => &table::AUCTION_ACTOR,
            Self::AuctionProvider => &table::AUCTION_PROVIDER,
            Self::Command(_, HostCommand::ScaleActor) => &table::SCALE_ACTOR,
            Self::Command(_, HostCommand::StopActor) => &table::STOP_ACTOR,
            Self::Command(_, HostCommand::UpdateActor) => &table::UPDATE_ACTOR,
            Self::Command(_, HostCommand::StartProvider) => &table::START_PROVIDER,
            Self::Command(_, HostCommand::StopProvider) => &table::STOP_PROVIDER,
            Self::Command(_, HostCommand::StopHost) => &table::STOP_HOST,
            Self::GetInventory(_) => &table::GET_INVENTORY,
            Self::AskWhy(_) => &table::ASK_WHY,
            Self::PutLabel(_) => &table::PUT_LABEL,
            Self::DeleteLabel(_) => &table::DELETE_LABEL,
            Self::PutRegistries => &table::PUT_REGISTRIES,
            Self::PutLink => &table::PUT_LINK,
            Self::DeleteLink => &table::DELETE_LINK,
            Self::GetClaims => &table::GET_CLAIMS,
            Self::GetLinks => &table::GET_LINKS,
            Self::PutConfig(_) => &table::PUT_CONFIG,
            Self::DeleteConfig(_) => &table::DELETE_CONFIG,
            Self::ClearConfig(_) => &table::CLEAR_CONFIG,
            Self::GetConfig(_) => &table::GET_CONFIG,
            Self::GetAllConfig(_) => &table::GET_ALL_CONFIG,
            Self::PutRevocations => &table::PUT_REVOCATIONS,
            Self::GetRevocations => &table::GET_REVOCATIONS,
            Self::PutOwner => &table::PUT_OWNER,
        }
    }

    /// The host it names, where it is for that one alone.
    #[must_use]
    pub fn host(&self) -> Option<&HostId> {
        match self {
            Self::Command(host, _)
            | Self::GetInventory(host)
            | Self::AskWhy(host)
            | Self::PutLabel(host)
            | Self::DeleteLabel(host) => Some(host),
            Self::PingHosts
            | Self::AuctionActor
            | Self::AuctionProvider
            | Self::PutRegistries
            | Self::PutLink
            | Self::DeleteLink
            | Self::GetClaims
            | Self::GetLinks
            | Self::PutConfig(_)
            | Self::DeleteConfig(_)
            | Self::ClearConfig(_)
            | Self::GetConfig(_)
            | Self::GetAllConfig(_)
            | Self::PutRevocations
            | Self::GetRevocations
            | Self::PutOwner => None,
        }
    }

    /// What stands in the open places of its form.
    fn found(&self) -> Found<'_> {
        let host = self.host().map_or("", HostId::as_str);
        let (entity, key) = match self {
            Self::PutConfig(entry) | Self::DeleteConfig(entry) | Self::GetConfig(entry) => {
                (entry.entity.as_str(), entry.key.as_str())
            }
            Self::ClearConfig(entity) | Self::GetAllConfig(entity) => (entity.as_str(), ""),
            _ => ("", ""),
        };
        Found { host, entity, key }
    }

    /// Renders the subject. Configuration entities and keys must be single tokens, as [`ControlSubject::parse`]
    /// returns them; the control client checks what a user typed.
    #[must_use]
    pub fn render(&self, root: &ControlRoot) -> String {
        format!("{root}.{}", self.operation().fill(&self.found()))
    }

    /// Reads a subject. `config.del.{entity}` without a key is what one client sends to clear, and is read so.
    ///
    /// # Errors
    /// [`SubjectError`]; its text is what a host answers.
    pub fn parse(root: &ControlRoot, subject: &str) -> Result<Self, SubjectError> {
        let tail = under(&root.root, subject)?;
        match find(tail) {
            Some((operation, found)) => (operation.read)(&found),
            None => Err(SubjectError::Unsupported { subject: subject.to_owned() }),
        }
    }
}

/// The operation that a tail is about, and what stands in its open places.
fn find(tail: &str) -> Option<(&'static Operation, Found<'_>)> {
    let forms = OPERATIONS.iter().copied().flat_map(|operation| {
        [Some(operation.subject), operation.also].into_iter().flatten().map(move |form| (operation, form))
    });
    let fitting = forms.filter_map(|(operation, form)| Some((operation, form, fit(form, tail)?)));
    let earlier = |form: &str| form.split('.').map(|token| !is_open(token)).collect::<Vec<_>>();
    fitting.max_by_key(|(_, form, _)| earlier(form)).map(|(operation, _, found)| (operation, found))
}

#[cfg(test)]
mod tests;
