//! What a change of lattice state sets in motion: providers are told, the lattice is told.

use std::sync::Arc;

use claims::{ActorId, PublicKey};
use lattice::{
    Link,
    event::{ConfigChanged, EventData, LinkChanged},
    subject::RpcSubject,
};
use lattice_state::{
    links::LinkChange,
    store::{Effect, ForeignClaims, Store, Tables},
};
use tokio::sync::mpsc;

use super::moves;
use crate::{
    events::Events, failures::Failures, nats::Broker, process::lifetime::Lifetime, providers::Providers,
    trust::ownership::Owners,
};

/// What follows changes.
pub struct Changes {
    /// Lattice state.
    pub store: Store,
    /// Providers that run here.
    pub providers: Arc<Providers>,
    /// Whose ids are whose.
    pub owners: Arc<Owners>,
    /// Tells the lattice.
    pub events: Events,
    /// What failed lately.
    pub failures: Arc<Failures>,
    /// NATS, if this host uses it.
    pub nats: Option<Arc<Broker>>,
    /// Owns moves.
    pub life: Lifetime,
}

impl Changes {
    pub(super) fn tables(&self) -> &Tables {
        self.store.tables()
    }

    /// Follows the changes until the host stops.
    pub async fn follow(self: Arc<Self>, mut effects: mpsc::UnboundedReceiver<Effect>) {
        loop {
            let effect = tokio::select! {
                () = self.life.stop.cancelled() => return,
                effect = effects.recv() => effect,
            };
            match effect {
                Some(Effect::Link { change, replayed }) => self.link_changed(change, replayed).await,
                Some(Effect::Claims { subject, foreign }) => {
                    self.claims_changed(subject);
                    if let Some(ForeignClaims { owner, issuer }) = foreign {
                        self.owners.seen_elsewhere(subject, owner, issuer).await;
                    }
                }
                Some(Effect::Config { entity, key, set }) => {
                    let changed = ConfigChanged { entity_id: entity, key };
                    let event = if set { EventData::ConfigSet(changed) } else { EventData::ConfigDeleted(changed) };
                    self.events.emit(event);
                }
                None => return,
            }
        }
    }

    /// Links of an actor that is known from now on may be given to the providers of this host.
    fn claims_changed(&self, subject: PublicKey) {
        let Ok(actor) = ActorId::try_from(subject) else { return };
        for (id, link_name) in self.tables().links.providers_of(&actor) {
            self.providers.wake(&id, &link_name);
        }
    }

    /// A link goes to another provider: without a gap, and the old one hears of it last.
    async fn moved(self: Arc<Self>, link: Arc<Link>, old: Arc<Link>) {
        moves::conduct(&self, link).await;
        // It may have come back meanwhile.
        let held = self.tables().links.granting(&old.actor_id, &old.provider_id, old.link_name.as_str());
        if held.is_none_or(|held| held.contract_id != old.contract_id) {
            self.tell(&old, false).await;
        }
    }

    async fn link_changed(self: &Arc<Self>, change: LinkChange, replayed: bool) {
        match change {
            LinkChange::Put { link, replaced } => {
                self.tell(&link, true).await;
                if let Some(replaced) = replaced.filter(|old| old.provider_id != link.provider_id) {
                    self.life.spawn(self.clone().moved(link.clone(), replaced));
                }
                self.announce(&link, replayed);
            }
            LinkChange::Deleted(link) => {
                self.tell(&link, false).await;
                self.failures.link_over(&link);
                self.events.emit(EventData::LinkdefDeleted(LinkChanged::from(link.as_ref().clone())));
            }
            // Announced and sent like any other put (protocol section 3.5).
            LinkChange::Repeated(link) => {
                match self.providers.get(&link.provider_id, &link.link_name) {
                    Some(provider) if !replayed => provider.report_again(link.actor_id),
                    Some(provider) => provider.wake(),
                    None => self.tell(&link, true).await,
                }
                self.announce(&link, replayed);
            }
            LinkChange::Unchanged => {}
        }
    }

    /// Says that a link was put, unless that is old news. Put anew, it is taken or refused anew.
    fn announce(&self, link: &Link, replayed: bool) {
        if !replayed {
            self.failures.link_over(link);
            self.events.emit(EventData::LinkdefSet(LinkChanged::from(link.clone())));
        }
    }

    /// A provider of this host is woken and compares for itself; any other hears of it over the lattice, as every host
    /// of the protocol does (section 3.5).
    async fn tell(&self, link: &Link, put: bool) {
        let (id, link_name) = (link.provider_id, link.link_name.clone());
        if self.providers.get(&id, &link_name).is_some() {
            self.providers.wake(&id, &link_name);
            return;
        }
        let Some(nats) = &self.nats else { return };
        let subject = if put { RpcSubject::LinkPut { id, link_name } } else { RpcSubject::LinkDel { id, link_name } };
        nats.publish(&subject, link.to_msgpack().into()).await;
    }
}
