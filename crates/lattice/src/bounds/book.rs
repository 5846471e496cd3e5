//! What a host holds of lattice state, counted, and whether more may come. Pure.
//!
//! Counts links, claims, configuration and entries of kinds that mean nothing to us, each by owner and together. An owner
//! of whom no signed claims are known is a stranger: strangers together get a quarter, so that whoever invents actors
//! leaves the rest to those that exist. Invariant: what was admitted, put one after the other, stays within every bound;
//! what is put unasked (it was there before) is counted all the same.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use claims::{ProviderId, PublicKey};

use super::{LimitExceeded, MAX_KEY, bytes, within};
use crate::{
    Link, LinkName,
    stored_claims::StoredClaims,
    subject::{LatticeKey, parse_config_key},
};

/// Where an entry is: the buckets of the protocol that everybody may fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Links and claims.
    Lattice,
    /// Configuration.
    Config,
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Entries.
    pub count: usize,
    /// Bytes of their keys and values.
    pub bytes: usize,
}

impl Usage {
    fn plus(self, bytes: usize) -> Self {
        Self { count: self.count + 1, bytes: self.bytes + bytes }
    }

    fn minus(self, bytes: usize) -> Self {
        Self { count: self.count.saturating_sub(1), bytes: self.bytes.saturating_sub(bytes) }
    }
}

/// Bounds of one kind.
struct Bound {
    what: &'static str,
    one: usize,
    owner: Usage,
    all: Usage,
}

const LINKS: Bound = Bound {
    what: "links",
    one: 64 << 10,
    owner: Usage { count: 256, bytes: 1 << 20 },
    all: Usage { count: 10_000, bytes: 32 << 20 },
};
/// Links of one provider under one link name.
const MAX_PROVIDER_LINKS: usize = 5_000;
const CLAIMS: Bound = Bound {
    what: "claims",
    one: 64 << 10,
    owner: Usage { count: 1, bytes: 64 << 10 },
    all: Usage { count: 20_000, bytes: 64 << 20 },
};
/// An answer to `get.config.{entity}` has four bytes for each of a value.
const CONFIG: Bound = Bound {
    what: "configuration",
    one: 64 << 10,
    owner: Usage { count: 256, bytes: 192 << 10 },
    all: Usage { count: 4_096, bytes: 16 << 20 },
};
const OTHERS: Bound = Bound {
    what: "entries of other kinds",
    one: 64 << 10,
    owner: Usage { count: usize::MAX, bytes: usize::MAX },
    all: Usage { count: 4_096, bytes: 4 << 20 },
};
/// Strangers together get one in so many.
const STRANGERS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Link,
    Claims,
    Config,
    Other,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Link, Self::Claims, Self::Config, Self::Other];

    fn bound(self) -> &'static Bound {
        match self {
            Self::Link => &LINKS,
            Self::Claims => &CLAIMS,
            Self::Config => &CONFIG,
            Self::Other => &OTHERS,
        }
    }

    /// Claims need none to be known, and others have no owner.
    fn may_be_of_strangers(self) -> bool {
        matches!(self, Self::Link | Self::Config)
    }
}

/// One entry, as far as it is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    kind: Kind,
    owner: Option<PublicKey>,
    provider: Option<(ProviderId, LinkName)>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Account {
    all: Usage,
    strangers: Usage,
    of: HashMap<PublicKey, Usage>,
}

/// What is held.
#[derive(Debug, Default)]
pub struct Book {
    rows: HashMap<(Place, String), Row>,
    accounts: [Account; Kind::ALL.len()],
    of_provider: HashMap<(ProviderId, LinkName), usize>,
    claimed: HashSet<PublicKey>,
}

impl Book {
    /// Whether an entry may come, or take the place of the one under its key.
    ///
    /// # Errors
    /// [`LimitExceeded`] with the first bound that is in the way.
    pub fn admit(&self, place: Place, key: &str, value: &[u8]) -> Result<(), LimitExceeded> {
        let row = row(place, key, value);
        let bound = row.kind.bound();
        bytes(format!("an entry of the {} of the lattice", bound.what), row.bytes, bound.one)?;
        if let (Place::Config, Some((_, name))) = (place, parse_config_key(key)) {
            bytes("name of a configuration entry", name.len(), MAX_KEY)?;
        }
        if let StoredEntry::Claims(claims) = StoredEntry::read(row.kind, value) {
            claims.check_size()?;
        }
        let before = self.rows.get(&(place, key.to_owned()));
        let then = |usage: Usage, counts: bool| match before.filter(|before| counts && before.kind == row.kind) {
            Some(before) => usage.minus(before.bytes).plus(row.bytes),
            None => usage.plus(row.bytes),
        };
        let account = self.account(row.kind);
        if let Some(owner) = row.owner {
            let of_owner = account.of.get(&owner).copied().unwrap_or_default();
            let same = before.is_some_and(|before| before.owner == row.owner);
            check(&format!("{} of `{owner}`", bound.what), then(of_owner, same), bound.owner)?;
            if self.is_stranger(&row) {
                let what = format!("{} of actors and providers that nobody knows, together", bound.what);
                let most = Usage { count: bound.all.count / STRANGERS, bytes: bound.all.bytes / STRANGERS };
                let same = before.is_some_and(|before| self.is_stranger(before));
                check(&what, then(account.strangers, same), most)?;
            }
        }
        if let Some(provider) =
            row.provider.as_ref().filter(|of| before.is_none_or(|b| b.provider.as_ref() != Some(of)))
        {
            let links = self.of_provider.get(provider).copied().unwrap_or_default() + 1;
            within(format!("links to provider `{}`", provider.0), links, MAX_PROVIDER_LINKS, "entries")?;
        }
        check(&format!("{} of the lattice", bound.what), then(account.all, true), bound.all)
    }

    /// Counts an entry, in the place of the one under its key.
    pub fn put(&mut self, place: Place, key: &str, value: &[u8]) {
        self.remove(place, key);
        let row = row(place, key, value);
        if let (Kind::Claims, Some(owner)) = (row.kind, row.owner) {
            self.claim(owner, true);
        }
        self.count(&row, Usage::plus);
        self.rows.insert((place, key.to_owned()), row);
    }

    /// Counts an entry no more.
    pub fn remove(&mut self, place: Place, key: &str) {
        let Some(row) = self.rows.remove(&(place, key.to_owned())) else { return };
        self.count(&row, Usage::minus);
        if let (Kind::Claims, Some(owner)) = (row.kind, row.owner) {
            self.claim(owner, false);
        }
    }

    /// What there is of each kind, by the name of the kind.
    pub fn usage(&self) -> impl Iterator<Item = (&'static str, Usage)> {
        Kind::ALL.into_iter().map(|kind| (kind.bound().what, self.account(kind).all))
    }

    fn account(&self, kind: Kind) -> &Account {
        &self.accounts[kind as usize]
    }

    fn is_stranger(&self, row: &Row) -> bool {
        row.kind.may_be_of_strangers() && row.owner.is_some_and(|owner| !self.claimed.contains(&owner))
    }

    fn count(&mut self, row: &Row, change: fn(Usage, usize) -> Usage) {
        let stranger = self.is_stranger(row);
        let account = &mut self.accounts[row.kind as usize];
        account.all = change(account.all, row.bytes);
        if stranger {
            account.strangers = change(account.strangers, row.bytes);
        }
        if let Some(owner) = row.owner {
            let of_owner = account.of.entry(owner).or_default();
            *of_owner = change(*of_owner, row.bytes);
            if of_owner.count == 0 {
                account.of.remove(&owner);
            }
        }
        if let Some(provider) = &row.provider {
            let links = self.of_provider.entry(provider.clone()).or_default();
            *links = change(Usage { count: *links, bytes: 0 }, 0).count;
            if *links == 0 {
                self.of_provider.remove(provider);
            }
        }
    }

    /// Somebody is known from now on, or no longer.
    fn claim(&mut self, owner: PublicKey, known: bool) {
        let changed = if known { self.claimed.insert(owner) } else { self.claimed.remove(&owner) };
        if !changed {
            return;
        }
        for kind in Kind::ALL.into_iter().filter(|kind| kind.may_be_of_strangers()) {
            let account = &mut self.accounts[kind as usize];
            let own = account.of.get(&owner).copied().unwrap_or_default();
            let strangers = &mut account.strangers;
            *strangers = if known {
                Usage { count: strangers.count - own.count, bytes: strangers.bytes - own.bytes }
            } else {
                Usage { count: strangers.count + own.count, bytes: strangers.bytes + own.bytes }
            };
        }
    }
}

/// An entry that is counted by what is in it.
enum StoredEntry {
    Link(Link),
    Claims(StoredClaims),
    Unread,
}

impl StoredEntry {
    fn read(kind: Kind, value: &[u8]) -> Self {
        match kind {
            Kind::Link => Link::from_json(value).map_or(Self::Unread, Self::Link),
            Kind::Claims => StoredClaims::from_json(value).map_or(Self::Unread, Self::Claims),
            Kind::Config | Kind::Other => Self::Unread,
        }
    }
}

fn row(place: Place, key: &str, value: &[u8]) -> Row {
    let other = Row { kind: Kind::Other, owner: None, provider: None, bytes: key.len() + value.len() };
    match (place, LatticeKey::parse(key)) {
        (Place::Config, _) => match parse_config_key(key) {
            Some((owner, _)) => Row { kind: Kind::Config, owner: Some(owner), ..other },
            None => other,
        },
        (Place::Lattice, Some(LatticeKey::Link(id))) => match StoredEntry::read(Kind::Link, value) {
            StoredEntry::Link(link) if link.id() == id => Row {
                kind: Kind::Link,
                owner: Some(link.actor_id.into()),
                provider: Some((link.provider_id, link.link_name)),
                ..other
            },
            _ => other,
        },
        (Place::Lattice, Some(LatticeKey::Claims(subject))) => match StoredEntry::read(Kind::Claims, value) {
            StoredEntry::Claims(claims) if claims.subject() == subject => {
                Row { kind: Kind::Claims, owner: Some(subject), ..other }
            }
            _ => other,
        },
        (Place::Lattice, None) => other,
    }
}

fn check(what: &str, usage: Usage, most: Usage) -> Result<(), LimitExceeded> {
    within(what, usage.count, most.count, "entries")?;
    bytes(what, usage.bytes, most.bytes)
}
