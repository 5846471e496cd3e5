//! Whose a request is: the routes of one address.
//!
//! Pure decisions on an immutable table; a change makes a new one. A route with a host name goes before one without,
//! then the longest path. Invariant: no two actors have the same host and path.

use std::{collections::BTreeMap, sync::Arc};

use http::HeaderValue;
use provider_sdk::{claims::ActorId, contracts::httpserver::HttpServerLink};

/// One link on an address.
#[derive(Debug, PartialEq, Eq)]
pub struct Route {
    /// Whom its requests go to.
    pub actor: ActorId,
    /// What the link says.
    pub link: HttpServerLink,
    /// The link's `cache_control`, ready to send.
    pub cache_control: Option<HeaderValue>,
}

impl Route {
    /// The route of a link.
    pub fn new(actor: ActorId, link: HttpServerLink) -> Arc<Self> {
        // The parser lets through only what a header can carry.
        let cache_control = link.cache_control.as_deref().and_then(|text| HeaderValue::from_str(text).ok());
        Arc::new(Self { actor, link, cache_control })
    }

    fn serves(&self, path: &str) -> bool {
        let Some(prefix) = self.link.path.as_deref() else { return true };
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Another actor has the same host and path.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    /// Who has it.
    pub by: ActorId,
}

/// The routes of one address.
#[derive(Debug, Default)]
pub struct Routes {
    /// By host name, each list with the longest path first.
    by_host: BTreeMap<String, Vec<Arc<Route>>>,
    /// For any host name, with the longest path first.
    any_host: Vec<Arc<Route>>,
}

impl Routes {
    /// Whether nobody is served any more.
    pub fn is_empty(&self) -> bool {
        self.any_host.is_empty() && self.by_host.is_empty()
    }

    /// The table with this route in place of the one its actor had.
    pub fn with(&self, route: Arc<Route>) -> Result<Self, Taken> {
        let same = |other: &&Arc<Route>| other.link.host == route.link.host && other.link.path == route.link.path;
        if let Some(other) = self.iter().filter(|other| other.actor != route.actor).find(same) {
            return Err(Taken { by: other.actor });
        }
        Ok(Self::build(self.iter().filter(|other| other.actor != route.actor).cloned().chain([Arc::clone(&route)])))
    }

    /// The table without the route of this actor.
    pub fn without(&self, actor: &ActorId) -> Self {
        Self::build(self.iter().filter(|other| other.actor != *actor).cloned())
    }

    /// Whose a request is. `host` as the client wrote it, asked for only when some route cares.
    pub fn find<'h>(&self, host: impl FnOnce() -> Option<&'h str>, path: &str) -> Option<&Arc<Route>> {
        let serves = |route: &&Arc<Route>| route.serves(path);
        let named = if self.by_host.is_empty() {
            None
        } else {
            host().and_then(|host| self.by_host.get(&without_port(host).to_ascii_lowercase()))
        };
        named.and_then(|routes| routes.iter().find(serves)).or_else(|| self.any_host.iter().find(serves))
    }

    fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.by_host.values().flatten().chain(&self.any_host)
    }

    fn build(routes: impl Iterator<Item = Arc<Route>>) -> Self {
        let mut table = Self::default();
        for route in routes {
            match &route.link.host {
                Some(host) => table.by_host.entry(host.clone()).or_default().push(route),
                None => table.any_host.push(route),
            }
        }
        for routes in table.by_host.values_mut().chain([&mut table.any_host]) {
            routes.sort_by_key(|route| std::cmp::Reverse(route.link.path.as_ref().map_or(0, String::len)));
        }
        table
    }
}

/// The host name of `name:port` or `[::1]:port`.
fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') && (!host.contains(':') || host.ends_with(']')) => host,
        _ => authority,
    }
}
