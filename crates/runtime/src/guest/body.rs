//! The linked code of an actor, whichever of the two kinds it is.

use std::sync::Arc;

use super::GuestKind;
use crate::{component::ComponentGuest, module::ModuleGuest};

/// The code of an actor, linked.
#[derive(Clone)]
pub(crate) enum Body {
    Module(Arc<ModuleGuest>),
    Component(Arc<ComponentGuest>),
}

impl Body {
    pub(crate) fn kind(&self) -> GuestKind {
        match self {
            Self::Module(_) => GuestKind::Module,
            Self::Component(_) => GuestKind::Component,
        }
    }

    /// Those who have it.
    pub(crate) fn owners(&self) -> usize {
        match self {
            Self::Module(module) => Arc::strong_count(module),
            Self::Component(component) => Arc::strong_count(component),
        }
    }

    pub(super) fn serves_http(&self) -> bool {
        matches!(self, Self::Component(component) if component.serves_http())
    }

    pub(super) fn takes_calls(&self) -> bool {
        matches!(self, Self::Module(module) if module.takes_calls())
    }
}
