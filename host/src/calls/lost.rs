//! A call on its way to a provider process, of this host or another one: whether it can still come back.
//!
//! The broker says nothing of a callee that ended after it took a call. The supervisor does, and so do the events of other
//! hosts. A call is given up only when nobody else may have it: providers are called through a queue group.

use std::{sync::Arc, time::Instant};

use contracts::CallError;
use lattice::Link;

use super::face::Calls;
use crate::providers::{Home, RunningProvider};

/// A call that is sent now.
pub struct Sent<'c> {
    calls: &'c Calls,
    link: &'c Link,
    /// The provider on this host, and which of its processes runs.
    here: Option<(Arc<RunningProvider>, u64)>,
    at: Instant,
}

impl<'c> Sent<'c> {
    /// Over this link, to the provider that runs here if it does.
    pub fn now(calls: &'c Calls, link: &'c Link, here: Option<Arc<RunningProvider>>) -> Self {
        let here = here.map(|provider| {
            let number = provider.process_number();
            (provider, number)
        });
        Self { calls, link, here, at: Instant::now() }
    }

    /// Why it does not come back, if that is known.
    pub fn lost(&self) -> Option<String> {
        let (others, Link { provider_id, link_name, .. }) = (&self.calls.peers.providers, self.link);
        let Some((provider, number)) = &self.here else {
            let is_lost = others.has_lost(provider_id, link_name, self.at);
            return is_lost.then(|| "it ended during the call on the host that runs it".to_owned());
        };
        let Home::Process(process) = &provider.home else { return None };
        let reason = process.left(*number)?;
        (!others.may_have(provider_id, link_name, self.at)).then_some(reason)
    }

    /// The error of a call, which says that the provider is down where that is why nobody took it.
    pub fn explained(&self, error: CallError) -> CallError {
        let Link { provider_id, link_name, .. } = self.link;
        match error {
            CallError::NotRunning { target } if self.here.is_none() => {
                match self.calls.peers.providers.is_down(provider_id, link_name) {
                    true => {
                        CallError::Unreachable { target, reason: "it has ended on the host that runs it".to_owned() }
                    }
                    false => CallError::NotRunning { target },
                }
            }
            error => error,
        }
    }
}
