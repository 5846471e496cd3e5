//! What a provider is to have, what it has, and what is to be done next. Pure.
//!
//! One slot per actor. Invariants: one change of a slot is under way at a time; what was told of a link is told again only
//! when it differs or the link was put again.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use claims::ActorId;
use lattice::Link;

/// What the provider says about a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It serves it.
    Served,
    /// It was sent to a provider that does not say.
    Sent,
    /// A provider that answers did not; it may be on its way.
    Unanswered,
    /// It does not serve it.
    Refused {
        /// Whether that may change by itself.
        retry: bool,
        /// Why.
        reason: String,
    },
}

/// What is told of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// It is served.
    Served,
    /// It was sent.
    Sent,
    /// It waits for its actor.
    Waiting,
    /// It is not served.
    Refused(String),
}

/// A change.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// The provider gets a link; `before` is another that it has in its place.
    Put {
        /// The link.
        link: Arc<Link>,
        /// What it replaces.
        before: Option<Arc<Link>>,
    },
    /// The provider loses a link.
    Delete {
        /// The link.
        link: Arc<Link>,
    },
}

/// What comes next.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Next {
    /// To be done; [`Slots::settle`] says how it went.
    Do(Step),
    /// To be told.
    Tell(Arc<Link>, Told),
}

#[derive(Default)]
struct Slot {
    wanted: Option<Arc<Link>>,
    given: Option<(Arc<Link>, Outcome)>,
    told: Option<(Arc<Link>, Told)>,
    busy: bool,
    /// The provider is to get it again although it has it.
    again: bool,
}

/// The slots of one provider.
#[derive(Default)]
pub(super) struct Slots {
    slots: HashMap<ActorId, Slot>,
    /// Those to be looked at, each once.
    line: VecDeque<ActorId>,
    in_line: BTreeSet<ActorId>,
    speaks: Option<bool>,
}

impl Slots {
    /// Whether the process answers links, as far as that is known.
    pub(super) fn speaks(&self) -> Option<bool> {
        self.speaks
    }

    /// Takes in the links that the provider is to have. `repeated`: those of these actors were put again as they are;
    /// `send_again`: the provider is to hear of that.
    pub(super) fn want(&mut self, links: Vec<Arc<Link>>, repeated: &BTreeSet<ActorId>, send_again: bool) {
        let wanted: HashMap<ActorId, Arc<Link>> = links.into_iter().map(|link| (link.actor_id, link)).collect();
        let gone: Vec<ActorId> = self.slots.keys().filter(|actor| !wanted.contains_key(*actor)).copied().collect();
        for actor in gone {
            self.slots.entry(actor).or_default().wanted = None;
            self.enqueue(actor);
        }
        for (actor, link) in wanted {
            let slot = self.slots.entry(actor).or_default();
            // Put again, or back before it was let go after a move: whoever did wants to hear what became of it.
            let put_again = repeated.contains(&actor)
                || slot.wanted.as_ref().is_some_and(|before| before == &link && !Arc::ptr_eq(before, &link));
            if put_again {
                slot.told = None;
                let refused = matches!(slot.given, Some((_, Outcome::Refused { .. })));
                slot.again |= repeated.contains(&actor) && (send_again || refused);
            }
            slot.wanted = Some(link);
            self.enqueue(actor);
        }
    }

    /// Those that were refused for a reason that may pass, or not answered, are given again.
    pub(super) fn try_again(&mut self) {
        let due: Vec<ActorId> =
            self.slots.iter().filter(|(_, slot)| slot.may_pass()).map(|(actor, _)| *actor).collect();
        for actor in due {
            self.slots.entry(actor).or_default().again = true;
            self.enqueue(actor);
        }
    }

    /// Whether there are any such.
    pub(super) fn retry(&self) -> bool {
        self.slots.values().any(Slot::may_pass)
    }

    /// What to do next; none when there is nothing to do until something changes. `may_have`: whether the provider may
    /// have a link that it does not have yet.
    pub(super) fn next(&mut self, may_have: impl Fn(&Link) -> bool) -> Option<Next> {
        while let Some(actor) = self.line.front().copied() {
            let slot = self.slots.entry(actor).or_default();
            let next = slot.next(&may_have);
            // What was told may be followed by something to do.
            if !matches!(next, Some(Next::Tell(..))) {
                self.line.pop_front();
                self.in_line.remove(&actor);
            }
            if slot.wanted.is_none() && slot.given.is_none() && !slot.busy {
                self.slots.remove(&actor);
            }
            if next.is_some() {
                return next;
            }
        }
        None
    }

    /// A change was carried out.
    pub(super) fn settle(&mut self, actor: ActorId, given: Option<(Arc<Link>, Outcome)>, answered: Option<bool>) {
        self.speaks = match (self.speaks, answered) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (before, None) => before,
            (_, Some(false)) => Some(false),
        };
        let slot = self.slots.entry(actor).or_default();
        (slot.given, slot.busy) = (given, false);
        self.enqueue(actor);
    }

    fn enqueue(&mut self, actor: ActorId) {
        if self.in_line.insert(actor) {
            self.line.push_back(actor);
        }
    }
}

impl Slot {
    fn may_pass(&self) -> bool {
        let passing = matches!(self.given, Some((_, Outcome::Unanswered | Outcome::Refused { retry: true, .. })));
        passing && !self.busy && !self.again
    }

    fn next(&mut self, may_have: &impl Fn(&Link) -> bool) -> Option<Next> {
        if self.busy {
            return None;
        }
        let Some(wanted) = self.wanted.clone() else {
            self.told = None;
            let (link, _) = self.given.take()?;
            self.busy = true;
            return Some(Next::Do(Step::Delete { link }));
        };
        let has_it = self.given.as_ref().is_some_and(|(given, _)| *given == wanted);
        if has_it && !self.again {
            let told = match &self.given.as_ref()?.1 {
                Outcome::Served => Told::Served,
                Outcome::Sent => Told::Sent,
                Outcome::Unanswered => return None,
                Outcome::Refused { reason, .. } => Told::Refused(reason.clone()),
            };
            return self.tell(wanted, told);
        }
        if self.given.is_none() && !may_have(&wanted) {
            return self.tell(wanted, Told::Waiting);
        }
        let before = self.given.as_ref().map(|(given, _)| given.clone()).filter(|given| *given != wanted);
        (self.busy, self.again) = (true, false);
        Some(Next::Do(Step::Put { link: wanted, before }))
    }

    fn tell(&mut self, link: Arc<Link>, told: Told) -> Option<Next> {
        let now = Some((link.clone(), told.clone()));
        if self.told == now {
            return None;
        }
        self.told = now;
        Some(Next::Tell(link, told))
    }
}

#[cfg(test)]
mod tests {
    use claims::{KeyKind, KeyPair, ProviderId};

    use super::*;

    fn actor() -> ActorId {
        KeyPair::generate(KeyKind::Module).public().try_into().expect("a module key")
    }

    fn link(actor: ActorId, value: &str) -> Arc<Link> {
        Arc::new(Link {
            actor_id: actor,
            provider_id: ProviderId::well_known("a"),
            contract_id: "wasmcloud:keyvalue".parse().expect("a contract id"),
            link_name: lattice::LinkName::default(),
            values: [("url".to_owned(), value.to_owned())].into(),
        })
    }

    fn put(link: &Arc<Link>, before: Option<&Arc<Link>>) -> Option<Next> {
        Some(Next::Do(Step::Put { link: link.clone(), before: before.cloned() }))
    }

    fn tell(link: &Arc<Link>, told: Told) -> Option<Next> {
        Some(Next::Tell(link.clone(), told))
    }

    fn want(slots: &mut Slots, links: &[&Arc<Link>]) {
        slots.want(links.iter().map(|link| Arc::clone(link)).collect(), &BTreeSet::new(), true);
    }

    const ANY: fn(&Link) -> bool = |_| true;

    #[test]
    fn many_links_are_begun_at_once_and_a_deletion_waits_for_none_of_them() {
        let mut slots = Slots::default();
        let links: Vec<_> = (0..8).map(|_| link(actor(), "1")).collect();
        want(&mut slots, &links.iter().collect::<Vec<_>>());
        let begun: Vec<_> = std::iter::from_fn(|| slots.next(ANY)).collect();
        assert_eq!(begun.len(), 8);
        let first = &links[0];
        slots.settle(first.actor_id, Some((first.clone(), Outcome::Sent)), Some(false));
        assert_eq!(slots.next(ANY), tell(first, Told::Sent));
        want(&mut slots, &links[1..].iter().collect::<Vec<_>>());
        assert_eq!(slots.next(ANY), Some(Next::Do(Step::Delete { link: first.clone() })));
        assert_eq!(slots.next(ANY), None, "the seven others are under way");
        assert_eq!(slots.speaks(), Some(false));
    }

    #[test]
    fn changes_of_one_link_keep_their_order() {
        let mut slots = Slots::default();
        let actor = actor();
        let (one, two) = (link(actor, "1"), link(actor, "2"));
        want(&mut slots, &[&one]);
        assert_eq!(slots.next(ANY), put(&one, None));
        want(&mut slots, &[]);
        want(&mut slots, &[&two]);
        assert_eq!(slots.next(ANY), None, "the first one is under way");
        slots.settle(actor, Some((one.clone(), Outcome::Served)), Some(true));
        assert_eq!(slots.next(ANY), put(&two, Some(&one)));
        want(&mut slots, &[]);
        slots.settle(actor, Some((two.clone(), Outcome::Served)), Some(true));
        assert_eq!(slots.next(ANY), Some(Next::Do(Step::Delete { link: two })));
        slots.settle(actor, None, None);
        assert_eq!(slots.next(ANY), None);
        assert!(slots.slots.is_empty(), "nothing is left of it");
    }

    #[test]
    fn a_link_that_is_put_again_is_sent_again_and_its_outcome_told_again() {
        let mut slots = Slots::default();
        let actor = actor();
        let one = link(actor, "1");
        want(&mut slots, &[&one]);
        slots.next(ANY);
        slots.settle(actor, Some((one.clone(), Outcome::Served)), Some(true));
        assert_eq!(slots.next(ANY), tell(&one, Told::Served));
        want(&mut slots, &[&one]);
        assert_eq!(slots.next(ANY), None);
        slots.want(vec![one.clone()], &[actor].into(), true);
        assert_eq!(slots.next(ANY), put(&one, None));
        slots.settle(actor, Some((one.clone(), Outcome::Served)), Some(true));
        assert_eq!(slots.next(ANY), tell(&one, Told::Served));
        // A provider in this host has it already; who put it again hears of it all the same.
        slots.want(vec![one.clone()], &[actor].into(), false);
        assert_eq!(slots.next(ANY), tell(&one, Told::Served));
        assert_eq!(slots.next(ANY), None);
    }

    #[test]
    fn what_is_refused_for_now_is_told_once_and_tried_again() {
        let mut slots = Slots::default();
        let actor = actor();
        let one = link(actor, "1");
        let refused = || Some((one.clone(), Outcome::Refused { retry: true, reason: "taken".to_owned() }));
        want(&mut slots, &[&one]);
        slots.next(ANY);
        slots.settle(actor, refused(), None);
        assert_eq!(slots.next(ANY), tell(&one, Told::Refused("taken".to_owned())));
        assert!(slots.retry());
        slots.try_again();
        assert_eq!(slots.next(ANY), put(&one, None));
        slots.settle(actor, refused(), None);
        assert_eq!(slots.next(ANY), None, "told already");
        slots.try_again();
        slots.next(ANY);
        slots.settle(actor, Some((one.clone(), Outcome::Served)), None);
        assert_eq!(slots.next(ANY), tell(&one, Told::Served));
        assert!(!slots.retry());
    }

    #[test]
    fn a_link_of_an_actor_that_does_not_exist_waits_for_it() {
        let mut slots = Slots::default();
        let actor = actor();
        let one = link(actor, "1");
        want(&mut slots, &[&one]);
        assert_eq!(slots.next(|_| false), tell(&one, Told::Waiting));
        assert_eq!(slots.next(|_| false), None);
        want(&mut slots, &[&one]);
        assert_eq!(slots.next(ANY), put(&one, None));
        slots.settle(actor, Some((one.clone(), Outcome::Served)), None);
        assert_eq!(slots.next(ANY), tell(&one, Told::Served));
        // What it has it keeps.
        want(&mut slots, &[&one]);
        assert_eq!(slots.next(|_| false), None);
    }
}
