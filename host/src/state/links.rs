//! Links: which actor may use which provider, under which name.
//!
//! Pure bookkeeping. Invariant: at most one provider per (actor, contract, link name).

use std::sync::Arc;

use claims::{ActorId, ProviderId};
use dashmap::DashMap;
use lattice::{Link, LinkId, LinkName};

/// What a change of the table means for providers.
#[derive(Debug, Clone, PartialEq)]
pub enum LinkChange {
    /// The link is new, or now names another provider or other values.
    Put {
        /// The link as it is now.
        link: Arc<Link>,
        /// What stood there before.
        replaced: Option<Arc<Link>>,
    },
    /// The link is gone.
    Deleted(Arc<Link>),
    /// The same link was put again: whoever did wants to hear what became of it.
    Repeated(Arc<Link>),
    /// Nothing changed.
    Unchanged,
}

type ActorLinks = Arc<Vec<Arc<Link>>>;

/// All links of the lattice, by actor; an actor has few.
#[derive(Default)]
pub struct Links {
    by_actor: DashMap<ActorId, ActorLinks>,
    by_id: DashMap<LinkId, Arc<Link>>,
}

impl Links {
    /// Records a link.
    pub fn put(&self, link: Link) -> LinkChange {
        let id = link.id();
        let link = Arc::new(link);
        let replaced = self.by_id.insert(id, link.clone());
        if replaced.as_ref() == Some(&link) {
            return LinkChange::Repeated(link);
        }
        self.rebuild(link.actor_id, |links| {
            links.retain(|other| other.id() != id);
            links.push(link.clone());
        });
        LinkChange::Put { link, replaced }
    }

    /// Forgets a link by its id.
    pub fn delete(&self, id: &LinkId) -> LinkChange {
        let Some((_, link)) = self.by_id.remove(id) else { return LinkChange::Unchanged };
        self.rebuild(link.actor_id, |links| links.retain(|other| !Arc::ptr_eq(other, &link)));
        LinkChange::Deleted(link)
    }

    fn rebuild(&self, actor: ActorId, change: impl FnOnce(&mut Vec<Arc<Link>>)) {
        let mut slot = self.by_actor.entry(actor).or_default();
        let mut links = slot.as_ref().clone();
        change(&mut links);
        *slot = Arc::new(links);
    }

    /// The link an actor uses for a contract under a link name.
    #[must_use]
    pub fn find(&self, actor: &ActorId, contract: &str, link_name: &str) -> Option<Arc<Link>> {
        let links = self.of_actor(actor)?;
        links.iter().find(|l| l.contract_id.as_str() == contract && l.link_name.as_str() == link_name).cloned()
    }

    /// Whether a provider may call an actor under this link name: the link the actor has, for any contract.
    #[must_use]
    pub fn granting(&self, actor: &ActorId, provider: &ProviderId, link_name: &str) -> Option<Arc<Link>> {
        let links = self.of_actor(actor)?;
        links.iter().find(|l| l.provider_id == *provider && l.link_name.as_str() == link_name).cloned()
    }

    fn of_actor(&self, actor: &ActorId) -> Option<ActorLinks> {
        self.by_actor.get(actor).map(|links| links.clone())
    }

    /// All links a provider serves under a link name.
    #[must_use]
    pub fn of_provider(&self, provider: &ProviderId, link_name: &LinkName) -> Vec<Arc<Link>> {
        self.all().into_iter().filter(|l| l.provider_id == *provider && l.link_name == *link_name).collect()
    }

    /// All links, sorted by actor, contract and name so that every host lists them alike.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Link>> {
        let mut links: Vec<_> = self.by_id.iter().map(|entry| entry.value().clone()).collect();
        links.sort_by(|a, b| {
            (&a.actor_id, a.contract_id.as_str(), a.link_name.as_str()).cmp(&(
                &b.actor_id,
                b.contract_id.as_str(),
                b.link_name.as_str(),
            ))
        });
        links
    }
}

#[cfg(test)]
mod tests {
    use claims::{KeyKind, KeyPair};

    use super::*;

    fn link(actor: &ActorId, provider: &ProviderId, value: &str) -> Link {
        Link {
            actor_id: *actor,
            provider_id: *provider,
            contract_id: "wasmcloud:keyvalue".parse().expect("a contract id"),
            link_name: LinkName::default(),
            values: [("url".to_owned(), value.to_owned())].into(),
        }
    }

    fn ids() -> (ActorId, ProviderId, ProviderId) {
        let actor = KeyPair::generate(KeyKind::Module).public().try_into().expect("a module key");
        (actor, ProviderId::well_known("a"), ProviderId::well_known("b"))
    }

    #[test]
    fn a_second_put_for_the_same_name_replaces_the_provider() {
        let (actor, first, second) = ids();
        let links = Links::default();
        links.put(link(&actor, &first, "1"));
        let change = links.put(link(&actor, &second, "1"));
        assert!(matches!(change, LinkChange::Put { replaced: Some(old), .. } if old.provider_id == first));
        let found = links.find(&actor, "wasmcloud:keyvalue", "default").expect("a link");
        assert_eq!(found.provider_id, second);
        assert_eq!(links.all().len(), 1);
        assert!(links.granting(&actor, &first, "default").is_none());
    }

    #[test]
    fn the_same_link_again_is_a_repetition() {
        let (actor, provider, _) = ids();
        let links = Links::default();
        links.put(link(&actor, &provider, "1"));
        assert!(matches!(links.put(link(&actor, &provider, "1")), LinkChange::Repeated(_)));
        assert_eq!(links.all().len(), 1);
    }

    #[test]
    fn a_deleted_link_grants_nothing() {
        let (actor, provider, _) = ids();
        let links = Links::default();
        let put = link(&actor, &provider, "1");
        let id = put.id();
        links.put(put);
        assert!(matches!(links.delete(&id), LinkChange::Deleted(_)));
        assert_eq!(links.delete(&id), LinkChange::Unchanged);
        assert!(links.find(&actor, "wasmcloud:keyvalue", "default").is_none());
        assert!(links.of_provider(&provider, &LinkName::default()).is_empty());
    }
}
