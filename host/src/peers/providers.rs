//! Which other hosts run a provider, and when it ended there: what became of a call that one of them may have taken.
//!
//! Fed by the same words as the rest of what is known of other hosts. Members are believed; of a stranger it is only kept that it
//! may run a provider, which makes nobody give up a call. Pure but for its lock; the clock is an argument. Invariants: what
//! is kept is bounded; an end is remembered for [`REMEMBERED`], also when the provider runs again.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{PoisonError, RwLock},
    time::{Duration, Instant},
};

use claims::{HostId, ProviderId};
use lattice::{LinkName, control::ProviderDescription};

use super::Standing;

/// Longer than a call that is under way asks what became of it.
const REMEMBERED: Duration = Duration::from_secs(120);
/// Providers, each counted on every host.
const MOST: usize = 10_000;
/// Providers of one host.
const MOST_OF_HOST: usize = 1_000;

type Key = (ProviderId, LinkName);

/// A provider on one host.
#[derive(Debug, Clone, Copy, Default)]
struct There {
    is_member: bool,
    is_up: bool,
    ended: Option<Instant>,
}

impl There {
    /// Whether a call that was sent at this time may be running there.
    fn may_have(self, sent: Instant) -> bool {
        self.is_up && self.ended.is_none_or(|ended| ended < sent)
    }

    fn ended_since(self, sent: Instant) -> bool {
        self.ended.is_some_and(|ended| ended >= sent)
    }
}

/// The providers of other hosts.
#[derive(Debug, Default)]
pub struct OfOthers(RwLock<HashMap<Key, HashMap<HostId, There>>>);

impl OfOthers {
    /// A host said everything it runs.
    pub fn told(&self, host: HostId, standing: Standing, providers: &[ProviderDescription], now: Instant) {
        let keys = providers.iter().take(MOST_OF_HOST).map(|one| (one.id, one.link_name.clone()));
        let keys: BTreeSet<Key> = keys.collect();
        let mut all = self.write();
        for (key, hosts) in all.iter_mut().filter(|(key, _)| !keys.contains(*key)) {
            if let Some(there) = hosts.get_mut(&host).filter(|there| there.is_up) {
                tracing::debug!(provider = %key.0, %host, "a provider is not there any more");
                (there.is_up, there.ended) = (false, (standing == Standing::Member).then_some(now));
            }
        }
        forget(&mut all, now);
        let mut room = room(&all);
        for key in keys {
            begin(&mut all, key, (host, standing), &mut room);
        }
    }

    /// A provider runs on a host. Only on the word of a member.
    pub fn started(&self, host: HostId, id: ProviderId, link_name: &LinkName) {
        let mut all = self.write();
        let mut room = room(&all);
        begin(&mut all, (id, link_name.clone()), (host, Standing::Member), &mut room);
    }

    /// A provider, or its process, ended on a host. Only on the word of a member.
    pub fn ended(&self, host: HostId, id: ProviderId, link_name: &LinkName, now: Instant) {
        if let Some(there) = self.write().get_mut(&(id, link_name.clone())).and_then(|hosts| hosts.get_mut(&host)) {
            (there.is_up, there.ended) = (false, Some(now));
        }
    }

    /// Hosts are gone, with all that they ran.
    pub fn gone(&self, is_gone: impl Fn(&HostId) -> bool, now: Instant) {
        let mut all = self.write();
        for (host, there) in all.values_mut().flatten() {
            if there.is_up && is_gone(host) {
                (there.is_up, there.ended) = (false, Some(now));
            }
        }
        forget(&mut all, now);
    }

    /// Whether another host may be carrying out a call that was sent at this time.
    #[must_use]
    pub fn may_have(&self, id: &ProviderId, link_name: &LinkName, sent: Instant) -> bool {
        self.any(id, link_name, |there| there.may_have(sent))
    }

    /// Whether the call that was sent at this time has ended with the provider: all hosts that may have taken it are known to
    /// have lost the provider since.
    #[must_use]
    pub fn has_lost(&self, id: &ProviderId, link_name: &LinkName, sent: Instant) -> bool {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(hosts) = all.get(&(*id, link_name.clone())) else { return false };
        hosts.values().any(|there| there.ended_since(sent)) && !hosts.values().any(|there| there.may_have(sent))
    }

    /// Whether it is known of hosts that ran it, and of none that runs it now.
    #[must_use]
    pub fn is_down(&self, id: &ProviderId, link_name: &LinkName) -> bool {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let hosts = all.get(&(*id, link_name.clone()));
        hosts.is_some_and(|hosts| !hosts.is_empty() && hosts.values().all(|there| !there.is_up))
    }

    /// The members that run it.
    #[must_use]
    pub fn members(&self, id: &ProviderId, link_name: &LinkName) -> Vec<HostId> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let hosts = all.get(&(*id, link_name.clone())).into_iter().flatten();
        hosts.filter(|(_, there)| there.is_up && there.is_member).map(|(host, _)| *host).collect()
    }

    fn any(&self, id: &ProviderId, link_name: &LinkName, is: impl Fn(There) -> bool) -> bool {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(&(*id, link_name.clone())).is_some_and(|hosts| hosts.values().any(|there| is(*there)))
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<Key, HashMap<HostId, There>>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn room(all: &HashMap<Key, HashMap<HostId, There>>) -> usize {
    MOST.saturating_sub(all.values().map(HashMap::len).sum())
}

fn begin(
    all: &mut HashMap<Key, HashMap<HostId, There>>,
    key: Key,
    (host, standing): (HostId, Standing),
    room: &mut usize,
) {
    let is_known = all.get(&key).is_some_and(|hosts| hosts.contains_key(&host));
    if is_known || *room > 0 {
        *room -= usize::from(!is_known);
        let there = all.entry(key).or_default().entry(host).or_default();
        (there.is_up, there.is_member) = (true, standing == Standing::Member);
    }
}

/// What is down, and has been for long.
fn forget(all: &mut HashMap<Key, HashMap<HostId, There>>, now: Instant) {
    let is_news = |there: &There| there.ended.is_some_and(|at| now.saturating_duration_since(at) < REMEMBERED);
    all.retain(|_, hosts| {
        hosts.retain(|_, there| there.is_up || is_news(there));
        !hosts.is_empty()
    });
}

#[cfg(test)]
mod tests {
    use claims::{KeyKind, KeyPair};

    use super::*;

    fn host() -> HostId {
        KeyPair::generate(KeyKind::Server).public().try_into().expect("a host key")
    }

    fn provider() -> (ProviderId, LinkName) {
        (KeyPair::generate(KeyKind::Service).public().try_into().expect("a provider key"), LinkName::default())
    }

    fn described((id, link_name): &Key) -> ProviderDescription {
        ProviderDescription {
            id: *id,
            annotations: [].into(),
            image_ref: None,
            contract_id: "wasmcloud:keyvalue".parse().expect("a contract"),
            link_name: link_name.clone(),
            name: None,
            revision: 1,
        }
    }

    #[test]
    fn a_call_is_lost_once_whoever_may_have_it_has_ended_and_stays_lost_when_it_runs_again() {
        let (all, one, (id, name)) = (OfOthers::default(), host(), provider());
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert!(!all.has_lost(&id, &name, at(0)), "of a provider nobody knows nothing is known");
        all.started(one, id, &name);
        assert!(!all.has_lost(&id, &name, at(10)) && !all.is_down(&id, &name));
        all.ended(one, id, &name, at(20));
        assert!(all.has_lost(&id, &name, at(10)) && all.is_down(&id, &name));
        assert!(!all.has_lost(&id, &name, at(30)), "one that was sent later found nobody");
        all.started(one, id, &name);
        assert!(all.has_lost(&id, &name, at(10)) && !all.has_lost(&id, &name, at(30)) && !all.is_down(&id, &name));
    }

    #[test]
    fn where_another_host_runs_it_a_call_may_be_there() {
        let (all, one, other, (id, name)) = (OfOthers::default(), host(), host(), provider());
        let sent = Instant::now();
        all.started(one, id, &name);
        all.told(other, Standing::Stranger, &[described(&(id, name.clone()))], sent);
        all.ended(one, id, &name, sent);
        assert!(!all.has_lost(&id, &name, sent) && all.may_have(&id, &name, sent));
        assert_eq!(all.members(&id, &name), [], "a stranger is told nothing");
        all.told(other, Standing::Stranger, &[], sent);
        assert!(all.has_lost(&id, &name, sent) && !all.may_have(&id, &name, sent));
    }

    #[test]
    fn what_a_host_does_not_list_any_more_and_what_went_with_it_has_ended() {
        let (all, one, other, key) = (OfOthers::default(), host(), host(), provider());
        let sent = Instant::now();
        all.told(one, Standing::Member, &[described(&key)], sent);
        all.told(other, Standing::Member, &[described(&key)], sent);
        all.told(one, Standing::Member, &[], sent);
        assert!(!all.has_lost(&key.0, &key.1, sent));
        all.gone(|host| *host == other, sent);
        assert!(all.has_lost(&key.0, &key.1, sent));
        all.gone(|_| false, sent + REMEMBERED);
        assert!(all.write().is_empty(), "and is forgotten in the end");
    }

    #[test]
    fn what_is_made_up_is_bounded() {
        let (all, now) = (OfOthers::default(), Instant::now());
        for _ in 0..12 {
            let made_up: Vec<_> = (0..1_100).map(|_| described(&provider())).collect();
            all.told(host(), Standing::Stranger, &made_up, now);
        }
        assert_eq!(all.write().len(), MOST);
    }
}
