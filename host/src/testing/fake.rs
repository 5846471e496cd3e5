//! A provider that is a fake.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use claims::ActorId;
use contracts::CallError;
use lattice::Link;
use provider_sdk::{Builtin, Descriptor, LinkRefused, Provider, ProviderCall, StartError};

use super::CONTRACT;

/// A provider that notes what it is asked, and answers as it is told to.
#[derive(Default)]
pub struct Fake {
    pub fails: Mutex<Option<CallError>>,
    pub refuses_links: Mutex<Option<String>>,
    pub links: Mutex<Vec<Link>>,
    pub calls: Mutex<Vec<(ActorId, String)>>,
}

impl Fake {
    pub fn seen(&self) -> Vec<String> {
        self.calls.lock().expect("not poisoned").iter().map(|(_, operation)| operation.clone()).collect()
    }
}

#[async_trait]
impl Provider for Fake {
    async fn put_link(&self, link: &Link) -> Result<(), LinkRefused> {
        if let Some(reason) = self.refuses_links.lock().expect("not poisoned").clone() {
            return Err(LinkRefused::Unavailable { reason });
        }
        self.links.lock().expect("not poisoned").push(link.clone());
        Ok(())
    }

    async fn delete_link(&self, actor: &ActorId) {
        self.links.lock().expect("not poisoned").retain(|link| link.actor_id != *actor);
    }

    async fn call(&self, call: ProviderCall) -> Result<Bytes, CallError> {
        self.calls.lock().expect("not poisoned").push((call.actor, call.operation));
        match self.fails.lock().expect("not poisoned").clone() {
            Some(error) => Err(error),
            None => Ok(call.payload),
        }
    }

    async fn shutdown(&self) {}
}

/// A provider that is compiled in; it refuses the configuration `bad`.
pub const FAKE: Builtin = Builtin {
    descriptor: Descriptor {
        name: "fake",
        contract: CONTRACT,
        display_name: "Fake",
        vendor: "tests",
        version: "1.0.0",
        revision: 1,
    },
    start: |start| match start.config.as_deref() {
        Some("bad") => Err(StartError { reason: "it is bad".to_owned() }),
        _ => Ok(Arc::new(Fake::default())),
    },
};
