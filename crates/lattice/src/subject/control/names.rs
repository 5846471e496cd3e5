//! The operations of the control interface by name, with everything that stands in their subjects.

use claims::HostId;

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
