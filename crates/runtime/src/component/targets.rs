//! Whom the interfaces of one guest call: links named `default`, until the guest chooses otherwise.
//!
//! Knows no contract and no resource. Invariant: a choice holds for the interface it names, for the rest of the call.

use std::{collections::BTreeMap, sync::Arc};

use crate::call::outbound::OutboundTarget;

/// The link name that is meant where none is given.
pub(super) const DEFAULT_LINK: &str = "default";

/// Whom an interface calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// Whoever the link of this name binds for the interface's contract.
    Link(String),
    /// An actor, by public key or call alias.
    Actor(String),
}

impl Target {
    /// With the contract of an interface, somebody who can be called.
    pub(super) fn with_contract(self, contract: &str) -> OutboundTarget {
        match self {
            Self::Link(link_name) => OutboundTarget::Link { contract: contract.to_owned(), link_name },
            Self::Actor(name) => OutboundTarget::Actor { name },
        }
    }
}

/// The choices of one call. Cheap to clone; a clone does not see later choices.
#[derive(Debug, Clone, Default)]
pub(super) struct Targets(Option<Arc<BTreeMap<&'static str, Target>>>);

impl Targets {
    /// Whom `interface` (its name without the version) calls for `contract`.
    pub(super) fn of(&self, interface: &str, contract: &str) -> OutboundTarget {
        let target = self.chosen(interface).unwrap_or_else(|| Target::Link(DEFAULT_LINK.to_owned()));
        target.with_contract(contract)
    }

    /// What the guest chose for `interface`, if it chose.
    pub(super) fn chosen(&self, interface: &str) -> Option<Target> {
        self.0.as_ref()?.get(interface).cloned()
    }

    /// Changes whom `interface` calls; none goes back to the default.
    pub(super) fn set(&mut self, interface: &'static str, target: Option<Target>) {
        let chosen = Arc::make_mut(self.0.get_or_insert_default());
        match target {
            Some(target) => chosen.insert(interface, target),
            None => chosen.remove(interface),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(contract: &str, link_name: &str) -> OutboundTarget {
        OutboundTarget::Link { contract: contract.to_owned(), link_name: link_name.to_owned() }
    }

    #[test]
    fn a_choice_holds_for_its_interface_until_it_is_taken_back() {
        let mut targets = Targets::default();
        assert_eq!(targets.of("a:b/c", "x:y"), link("x:y", "default"));
        targets.set("a:b/c", Some(Target::Link("other".to_owned())));
        let before = targets.clone();
        assert_eq!(targets.of("a:b/c", "x:y"), link("x:y", "other"));
        assert_eq!(targets.of("a:b/d", "x:y"), link("x:y", "default"));
        targets.set("a:b/c", Some(Target::Actor("greeter".to_owned())));
        assert_eq!(targets.of("a:b/c", "x:y"), OutboundTarget::Actor { name: "greeter".to_owned() });
        targets.set("a:b/c", None);
        assert_eq!(targets.of("a:b/c", "x:y"), link("x:y", "default"));
        assert_eq!(before.of("a:b/c", "x:y"), link("x:y", "other"));
    }
}
