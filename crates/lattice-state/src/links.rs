//! Links: which actor may use which provider, under which name.
//!
//! Pure bookkeeping. A link that now names another provider moves: its calls go to the old one until somebody says that the
//! new one is ready ([`Links::switch`]), and the old one serves calls under way until it is let go ([`Links::release`]).
//! Invariant: at most one provider per (actor, contract, link name) is called.

use std::{collections::BTreeSet, sync::Arc};

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
    /// The same link was put again: that is announced and sent like any other put.
    Repeated(Arc<Link>),
    /// Nothing changed.
    Unchanged,
}

type ActorLinks = Arc<Vec<Route>>;

/// One link of an actor, and what it moves away from.
#[derive(Debug, Clone)]
struct Route {
    link: Arc<Link>,
    leaving: Option<Leaving>,
}

/// A provider that a link moves away from.
#[derive(Debug, Clone)]
struct Leaving {
    link: Arc<Link>,
    /// Whether calls still go to it.
    called: bool,
}

impl Route {
    /// Where calls go.
    fn called(&self) -> &Arc<Link> {
        match &self.leaving {
            Some(Leaving { link, called: true }) => link,
            _ => &self.link,
        }
    }

    /// Every provider that has the link.
    fn held(&self) -> impl Iterator<Item = &Arc<Link>> {
        std::iter::once(&self.link).chain(self.leaving.iter().map(|leaving| &leaving.link))
    }

    /// The same link with other content. What serves now serves on until the new provider is ready.
    fn moved_to(&self, link: Arc<Link>) -> Self {
        let serving = self.called().clone();
        let leaving = if serving.provider_id == link.provider_id {
            // Back to where calls go anyway; what was to be next, or lingers, is let go.
            None
        } else {
            Some(Leaving { link: serving, called: true })
        };
        Self { link, leaving }
    }
}

/// The providers that have a link among these.
fn holders(routes: &[Route]) -> BTreeSet<(ProviderId, LinkName)> {
    routes.iter().flat_map(Route::held).map(|link| (link.provider_id, link.link_name.clone())).collect()
}

/// All links of the lattice, by actor; an actor has few.
#[derive(Default)]
pub struct Links {
    by_actor: DashMap<ActorId, ActorLinks>,
    by_id: DashMap<LinkId, Arc<Link>>,
    /// The actors that a provider has links of, those that move away from it too.
    by_provider: DashMap<(ProviderId, LinkName), BTreeSet<ActorId>>,
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
        self.rebuild(link.actor_id, |routes| match routes.iter_mut().find(|route| route.link.id() == id) {
            Some(route) => *route = route.moved_to(link.clone()),
            None => routes.push(Route { link: link.clone(), leaving: None }),
        });
        LinkChange::Put { link, replaced }
    }

    /// Forgets a link by its id, at once and wherever it is.
    pub fn delete(&self, id: &LinkId) -> LinkChange {
        let Some((_, link)) = self.by_id.remove(id) else { return LinkChange::Unchanged };
        self.rebuild(link.actor_id, |routes| routes.retain(|other| other.link.id() != *id));
        LinkChange::Deleted(link)
    }

    /// The provider of this link is ready: calls go to it. No effect when the link is another one by now.
    pub fn switch(&self, link: &Arc<Link>) {
        self.change(link, |route| {
            if let Some(leaving) = &mut route.leaving {
                leaving.called = false;
            }
        });
    }

    /// Lets go what this link has moved away from. No effect when the link is another one by now.
    pub fn release(&self, link: &Arc<Link>) {
        self.change(link, |route| route.leaving = None);
    }

    fn change(&self, link: &Arc<Link>, change: impl FnOnce(&mut Route)) {
        self.rebuild(link.actor_id, |routes| {
            if let Some(route) = routes.iter_mut().find(|route| Arc::ptr_eq(&route.link, link)) {
                change(route);
            }
        });
    }

    fn rebuild(&self, actor: ActorId, change: impl FnOnce(&mut Vec<Route>)) {
        let mut slot = self.by_actor.entry(actor).or_default();
        let mut routes = slot.as_ref().clone();
        let before = holders(&routes);
        change(&mut routes);
        let after = holders(&routes);
        let is_empty = routes.is_empty();
        *slot = Arc::new(routes);
        for new in after.difference(&before) {
            self.by_provider.entry(new.clone()).or_default().insert(actor);
        }
        for old in before.difference(&after) {
            if let Some(mut actors) = self.by_provider.get_mut(old) {
                actors.remove(&actor);
            }
            self.by_provider.remove_if(old, |_, actors| actors.is_empty());
        }
        drop(slot);
        if is_empty {
            self.by_actor.remove_if(&actor, |_, routes| routes.is_empty());
        }
    }

    /// The link an actor uses for a contract under a link name.
    #[must_use]
    pub fn find(&self, actor: &ActorId, contract: &str, link_name: &str) -> Option<Arc<Link>> {
        let routes = self.of_actor(actor)?;
        let mut called = routes.iter().map(Route::called);
        called.find(|l| l.contract_id.as_str() == contract && l.link_name.as_str() == link_name).cloned()
    }

    /// Whether a provider may call an actor under this link name, or be called by it: the link the actor has, for any
    /// contract, also while it moves away.
    #[must_use]
    pub fn granting(&self, actor: &ActorId, provider: &ProviderId, link_name: &str) -> Option<Arc<Link>> {
        let routes = self.of_actor(actor)?;
        let mut held = routes.iter().flat_map(Route::held);
        held.find(|l| l.provider_id == *provider && l.link_name.as_str() == link_name).cloned()
    }

    fn of_actor(&self, actor: &ActorId) -> Option<ActorLinks> {
        self.by_actor.get(actor).map(|routes| routes.clone())
    }

    /// All links a provider serves under a link name, those that move away from it too.
    #[must_use]
    pub fn of_provider(&self, provider: &ProviderId, link_name: &LinkName) -> Vec<Arc<Link>> {
        let actors = self.by_provider.get(&(*provider, link_name.clone()));
        let actors: Vec<ActorId> = actors.map(|actors| actors.iter().copied().collect()).unwrap_or_default();
        let mut links = Vec::with_capacity(actors.len());
        for routes in actors.iter().filter_map(|actor| self.of_actor(actor)) {
            let held = routes.iter().flat_map(Route::held);
            links.extend(held.filter(|l| l.provider_id == *provider && l.link_name == *link_name).cloned());
        }
        links
    }

    /// All links of an actor, what they move away from too.
    #[must_use]
    pub fn of(&self, actor: &ActorId) -> Vec<Arc<Link>> {
        let routes = self.of_actor(actor);
        routes.map(|routes| routes.iter().flat_map(Route::held).cloned().collect()).unwrap_or_default()
    }

    /// The providers that an actor has links to, under their link names.
    #[must_use]
    pub fn providers_of(&self, actor: &ActorId) -> BTreeSet<(ProviderId, LinkName)> {
        self.of_actor(actor).map(|routes| holders(&routes)).unwrap_or_default()
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
        assert_eq!(links.all().len(), 1);
        assert_eq!(links.all()[0].provider_id, second);
    }

    fn called(links: &Links, actor: &ActorId) -> ProviderId {
        links.find(actor, "wasmcloud:keyvalue", "default").expect("a link").provider_id
    }

    fn put(links: &Links, link: Link) -> Arc<Link> {
        match links.put(link) {
            LinkChange::Put { link, .. } => link,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_link_moves_when_the_new_provider_is_ready_and_the_old_one_serves_until_it_is_let_go() {
        let (actor, first, second) = ids();
        let (links, name) = (Links::default(), LinkName::default());
        put(&links, link(&actor, &first, "1"));
        let moved = put(&links, link(&actor, &second, "1"));
        assert_eq!(called(&links, &actor), first);
        assert_eq!((links.of_provider(&first, &name).len(), links.of_provider(&second, &name).len()), (1, 1));
        links.switch(&moved);
        assert_eq!(called(&links, &actor), second);
        assert!(links.granting(&actor, &first, "default").is_some(), "calls under way");
        links.release(&moved);
        assert!(links.granting(&actor, &first, "default").is_none());
        assert_eq!((links.of_provider(&first, &name).len(), links.of_provider(&second, &name).len()), (0, 1));
    }

    #[test]
    fn a_link_that_moves_back_before_the_new_provider_is_ready_has_not_moved() {
        let (actor, first, second) = ids();
        let links = Links::default();
        put(&links, link(&actor, &first, "1"));
        let there = put(&links, link(&actor, &second, "1"));
        let back = put(&links, link(&actor, &first, "1"));
        links.switch(&there);
        assert_eq!(called(&links, &actor), first);
        assert!(links.granting(&actor, &second, "default").is_none());
        links.release(&back);
        assert_eq!(called(&links, &actor), first);
    }

    #[test]
    fn other_values_for_the_same_provider_take_effect_at_once() {
        let (actor, first, _) = ids();
        let links = Links::default();
        put(&links, link(&actor, &first, "1"));
        put(&links, link(&actor, &first, "2"));
        let held = links.of_provider(&first, &LinkName::default());
        assert_eq!(held.len(), 1);
        assert_eq!(held[0].values["url"], "2");
    }

    #[test]
    fn a_link_deleted_while_it_moves_is_gone_everywhere() {
        let (actor, first, second) = ids();
        let links = Links::default();
        put(&links, link(&actor, &first, "1"));
        let moved = put(&links, link(&actor, &second, "1"));
        links.delete(&moved.id());
        for provider in [first, second] {
            assert!(links.granting(&actor, &provider, "default").is_none());
        }
        assert!(links.find(&actor, "wasmcloud:keyvalue", "default").is_none());
    }

    #[test]
    fn the_same_link_again_is_a_repetition() {
        let (actor, provider, _) = ids();
        let links = Links::default();
        links.put(link(&actor, &provider, "1"));
        assert!(matches!(links.put(link(&actor, &provider, "1")), LinkChange::Repeated(_)));
        assert_eq!(links.all().len(), 1);
        links.delete(&link(&actor, &provider, "1").id());
        assert!(links.find(&actor, "wasmcloud:keyvalue", "default").is_none(), "also when it was put twice");
    }

    #[test]
    fn a_deleted_link_grants_nothing() {
        let (actor, provider, _) = ids();
        let links = Links::default();
        let put = link(&actor, &provider, "1");
        let id = put.id();
        links.put(put);
        assert!(matches!(links.delete(&id), LinkChange::Deleted(_)));
        assert!(links.by_actor.is_empty() && links.by_provider.is_empty(), "nothing is left of it");
        assert_eq!(links.delete(&id), LinkChange::Unchanged);
        assert!(links.find(&actor, "wasmcloud:keyvalue", "default").is_none());
        assert!(links.of_provider(&provider, &LinkName::default()).is_empty());
    }
}
