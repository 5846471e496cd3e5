//! The code of an actor, linked with what it may import.

use std::sync::Arc;

use wasmtime::{Module, component::Component};

use crate::{component::guest::ComponentGuest, module::ModuleGuest};

/// The two kinds of guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestKind {
    /// A core module that speaks waPC.
    Module,
    /// A component.
    Component,
}

/// Code that is not linked yet.
pub(crate) enum GuestCode {
    Module(Arc<Module>),
    Component(Arc<Component>),
}

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

    pub(super) fn serves_http(&self) -> bool {
        matches!(self, Self::Component(component) if component.serves_http())
    }

    pub(super) fn takes_calls(&self) -> bool {
        matches!(self, Self::Module(module) if module.takes_calls())
    }
}
