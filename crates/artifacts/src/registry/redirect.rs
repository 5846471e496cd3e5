//! Redirects: registries send readers to their storage.
//!
//! Decides, and does not send. Invariant: whoever is led elsewhere goes there without credentials, and never leaves TLS.

use reqwest::Url;
use reqwest::header::{HeaderMap, LOCATION};

use super::error::RegistryError;

/// How often a request is led elsewhere.
pub(super) const MAX_REDIRECTS: usize = 5;

/// The way of one request.
pub(super) struct Way<'a> {
    registry: &'a str,
    visited: Vec<Url>,
    left_home: bool,
}

impl<'a> Way<'a> {
    pub(super) fn new(registry: &'a str, url: Url) -> Self {
        Self { registry, visited: vec![url], left_home: false }
    }

    /// Where to go now.
    pub(super) fn here(&self) -> &Url {
        self.visited.last().expect("a way begins somewhere")
    }

    /// Whether all of it was at the registry itself, so that credentials may be shown.
    pub(super) fn is_home(&self) -> bool {
        !self.left_home
    }

    /// Goes on to where the answer leads.
    pub(super) fn follow(&mut self, status: u16, headers: &HeaderMap) -> Result<(), RegistryError> {
        let next = location(self.registry, self.here(), headers).ok_or_else(|| RegistryError::Unexpected {
            registry: self.registry.to_owned(),
            status,
            said: "a redirect that leads nowhere".to_owned(),
        })??;
        if self.visited.len() > MAX_REDIRECTS || self.visited.contains(&next) {
            return Err(RegistryError::RedirectLoop { registry: self.registry.to_owned(), limit: MAX_REDIRECTS });
        }
        // Once left, not trusted again: the way back was chosen by somebody else.
        self.left_home |= !same_origin(self.here(), &next);
        self.visited.push(next);
        Ok(())
    }
}

/// The address in a `Location`, which may be relative to `here`; refused when it leads out of TLS.
pub(super) fn location(registry: &str, here: &Url, headers: &HeaderMap) -> Option<Result<Url, RegistryError>> {
    let next = headers.get(LOCATION)?.to_str().ok().and_then(|text| here.join(text).ok())?;
    let allowed = next.scheme() == "https" || (next.scheme() == "http" && here.scheme() == "http");
    Some(if allowed {
        Ok(next)
    } else {
        let shown = format!("{}://{}", next.scheme(), next.authority());
        Err(RegistryError::InsecureRedirect { registry: registry.to_owned(), to: crate::text::excerpt(&shown) })
    })
}

pub(super) fn same_origin(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}
