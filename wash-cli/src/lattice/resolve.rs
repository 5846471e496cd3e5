//! What a user typed for an id: the id itself, its beginning, or part of a name.
//!
//! Pure: candidates come in, one id or a failure that lists them goes out. Invariant: a complete id needs no candidate,
//! and never means another entity than itself.

use std::{fmt::Display, str::FromStr};

use claims::{ActorId, HostId, ProviderId};
use lattice::control::{ClaimsRow, HostSummary};

use crate::terminal::failure::{Failure, Result};

/// An id and the names it goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<Id> {
    /// The id.
    pub id: Id,
    /// Its names; the first one is shown.
    pub names: Vec<String>,
}

/// Finds the one candidate that `term` means. A complete id needs no candidate.
///
/// # Errors
/// Nothing matches, or several do and none of them exactly.
pub fn resolve<Id: Copy + PartialEq + Display + FromStr>(
    what: &str,
    term: &str,
    candidates: &[Candidate<Id>],
) -> Result<Id> {
    let term = term.trim();
    if let Ok(id) = term.parse() {
        return Ok(id);
    }
    if term.is_empty() {
        return Err(Failure::usage(format!("the {what} must not be empty")));
    }
    let (lower, upper) = (term.to_lowercase(), term.to_uppercase());
    let exact = |candidate: &&Candidate<Id>| candidate.names.iter().any(|name| name.eq_ignore_ascii_case(term));
    let loose = |candidate: &&Candidate<Id>| {
        candidate.id.to_string().starts_with(&upper)
            || candidate.names.iter().any(|name| name.to_lowercase().contains(&lower))
    };
    // An exact name wins over the longer names it is a part of.
    let mut found: Vec<&Candidate<Id>> = candidates.iter().filter(exact).collect();
    if found.is_empty() {
        found = candidates.iter().filter(loose).collect();
    }
    match found.as_slice() {
        [one] => Ok(one.id),
        [] => Err(Failure::new(format!("no {what} matches `{term}`")).hint(no_match_hint(what, candidates))),
        several => Err(Failure::new(format!("`{term}` matches {} {what}s: {}", several.len(), list(several)))
            .hint("give more of the name, or the id")),
    }
}

fn no_match_hint<Id: Display>(what: &str, candidates: &[Candidate<Id>]) -> String {
    if candidates.is_empty() {
        return format!("the lattice knows no {what}; give a complete id if you know better");
    }
    let known: Vec<&Candidate<Id>> = candidates.iter().take(10).collect();
    format!("known: {}", list(&known))
}

fn list<Id: Display>(candidates: &[&Candidate<Id>]) -> String {
    let shown = candidates.iter().map(|candidate| match candidate.names.first() {
        Some(name) => format!("`{name}` ({})", candidate.id),
        None => format!("`{}`", candidate.id),
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Hosts by their friendly name.
pub fn host_candidates(hosts: &[HostSummary]) -> Vec<Candidate<HostId>> {
    hosts.iter().map(|host| Candidate { id: host.id, names: vec![host.friendly_name.clone()] }).collect()
}

/// Actors by name and call alias, from the lattice's claims.
pub fn actor_candidates(claims: &[ClaimsRow]) -> Vec<Candidate<ActorId>> {
    claim_candidates(claims)
}

/// Providers by name, from the lattice's claims.
pub fn provider_candidates(claims: &[ClaimsRow]) -> Vec<Candidate<ProviderId>> {
    claim_candidates(claims)
}

fn claim_candidates<Id: FromStr>(claims: &[ClaimsRow]) -> Vec<Candidate<Id>> {
    let named = |row: &ClaimsRow, key: &str| row.get(key).filter(|name| !name.is_empty()).cloned();
    claims
        .iter()
        .filter_map(|row| {
            let id = row.get("sub").or_else(|| row.get("subject"))?.parse().ok()?;
            Some(Candidate {
                id,
                names: [named(row, "name"), named(row, "call_alias")].into_iter().flatten().collect(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use claims::{KeyKind, PublicKey};

    use super::*;

    fn host(byte: u8, name: &str) -> Candidate<HostId> {
        let id = HostId::try_from(PublicKey::from_raw(KeyKind::Server, [byte; 32])).unwrap();
        Candidate { id, names: vec![name.to_owned()] }
    }

    #[test]
    fn ids_prefixes_and_parts_of_names_are_found() {
        let hosts = [host(1, "quiet-sea-1234"), host(200, "loud-lake-9876")];
        assert_eq!(resolve("host", "LAKE", &hosts).unwrap(), hosts[1].id);
        assert_eq!(resolve("host", "quiet-sea-1234", &hosts).unwrap(), hosts[0].id);
        let prefix = &hosts[1].id.to_string()[..6];
        assert_eq!(resolve("host", &prefix.to_lowercase(), &hosts).unwrap(), hosts[1].id);
        assert_eq!(resolve::<HostId>("host", hosts[0].id.as_str(), &[]).unwrap(), hosts[0].id);
    }

    #[test]
    fn an_exact_name_wins_over_a_longer_one() {
        let hosts = [host(1, "echo"), host(2, "echo-two")];
        assert_eq!(resolve("host", "Echo", &hosts).unwrap(), hosts[0].id);
    }

    #[test]
    fn no_match_and_several_matches_say_what_there_is() {
        let hosts = [host(1, "quiet-sea"), host(2, "quiet-lake")];
        let several = resolve("host", "quiet", &hosts).unwrap_err();
        assert!(several.message().starts_with("`quiet` matches 2 hosts: `quiet-sea` (N"), "{several}");
        let none = resolve("host", "storm", &hosts).unwrap_err();
        assert_eq!(none.message(), "no host matches `storm`");
        assert!(none.next_step().unwrap().contains("`quiet-lake`"));
    }

    #[test]
    fn claims_of_the_other_kind_are_no_candidates() {
        let actor = PublicKey::from_raw(KeyKind::Module, [3; 32]);
        let row = ClaimsRow::from([
            ("sub".to_owned(), actor.to_string()),
            ("name".to_owned(), "Echo Server".to_owned()),
            ("call_alias".to_owned(), "acme/echo".to_owned()),
        ]);
        let rows = [row];
        assert_eq!(PublicKey::from(resolve("actor", "acme/echo", &actor_candidates(&rows)).unwrap()), actor);
        assert!(provider_candidates(&rows).is_empty());
    }
}
