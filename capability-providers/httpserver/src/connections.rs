//! Who has a connection of one listener: how many there may be, of all clients and of one, and who goes when there are
//! too many.
//!
//! Owned by the task that accepts. Invariants: never more connections than the limits say, but for those that are being
//! ended; the one that goes for another had nothing under way, and of such the one for the longest time.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use crate::{limits::Limits, turn::Turn};

/// Those that are there.
#[derive(Default)]
pub struct Connections {
    tasks: JoinSet<()>,
    entries: HashMap<Id, Entry>,
    of_client: HashMap<IpAddr, usize>,
    /// Told to go, and still there.
    leaving: usize,
}

struct Entry {
    client: IpAddr,
    turn: Arc<Turn>,
    abort: AbortHandle,
    is_leaving: bool,
}

/// Whether another connection may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It may.
    Free,
    /// When one of those that are there is gone.
    Later,
    /// Not from this client, all of whose connections have something under way.
    Refused,
}

impl Connections {
    /// Begins one.
    pub fn begin(&mut self, client: IpAddr, turn: Arc<Turn>, connection: impl Future<Output = ()> + Send + 'static) {
        let abort = self.tasks.spawn(connection);
        *self.of_client.entry(client).or_default() += 1;
        self.entries.insert(abort.id(), Entry { client, turn, abort, is_leaving: false });
    }

    /// Whether there is a place for another one of this client. Where there is not, somebody may be made to go.
    pub fn place(&mut self, client: IpAddr, limits: &Limits) -> Place {
        let of_client = self.of_client.get(&client).copied().unwrap_or_default();
        let is_one_too_many = of_client >= limits.connections_per_client;
        if !is_one_too_many && self.entries.len() < limits.connections {
            return Place::Free;
        }
        if self.leaving > 0 {
            return Place::Later;
        }
        let of_whom = is_one_too_many.then_some(client);
        let has_left = self.end_oldest_idle(of_whom);
        // With as many for one as for all, whoever comes waits.
        let may_wait = has_left || limits.connections_per_client >= limits.connections;
        if is_one_too_many && !may_wait { Place::Refused } else { Place::Later }
    }

    /// Ends the connection that has had nothing under way for the longest time, if there is one.
    fn end_oldest_idle(&mut self, client: Option<IpAddr>) -> bool {
        let of_client = |entry: &&mut Entry| client.is_none_or(|client| entry.client == client) && !entry.is_leaving;
        let idle = self.entries.values_mut().filter(of_client);
        let oldest = idle.filter_map(|entry| Some((entry.turn.idle_since()?, entry))).min_by_key(|(since, _)| *since);
        let Some((_, entry)) = oldest else { return false };
        entry.is_leaving = true;
        entry.abort.abort();
        self.leaving += 1;
        true
    }

    /// Waits for one to end. None when there is none.
    pub async fn ended(&mut self) -> Option<()> {
        let id = match self.tasks.join_next_with_id().await? {
            Ok((id, ())) => id,
            Err(error) => {
                report(&error);
                error.id()
            }
        };
        let entry = self.entries.remove(&id)?;
        self.leaving -= usize::from(entry.is_leaving);
        if let Some(count) = self.of_client.get_mut(&entry.client) {
            *count -= 1;
            if *count == 0 {
                self.of_client.remove(&entry.client);
            }
        }
        Some(())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Ends all of them.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}

fn report(error: &JoinError) {
    if error.is_panic() {
        tracing::error!(%error, "a connection failed");
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, time::Instant};

    use super::*;

    fn client(number: u8) -> IpAddr {
        Ipv4Addr::new(127, 0, 0, number).into()
    }

    fn limits(connections: usize, connections_per_client: usize) -> Limits {
        Limits { connections, connections_per_client, ..Limits::default() }
    }

    fn begin(all: &mut Connections, from: IpAddr, limits: &Limits) -> Arc<Turn> {
        let turn = Turn::new(Arc::default(), limits);
        all.begin(from, turn.clone(), std::future::pending());
        turn
    }

    #[tokio::test]
    async fn the_one_that_is_idle_for_the_longest_time_goes_for_another() {
        let (mut all, limits) = (Connections::default(), limits(3, 3));
        let turns: Vec<_> = (1..=3).map(|number| begin(&mut all, client(number), &limits)).collect();
        let _busy = turns[0].call(Instant::now());
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        turns[1].moved();
        assert_eq!(all.place(client(4), &limits), Place::Later);
        assert_eq!(all.place(client(4), &limits), Place::Later, "one goes for one");
        all.ended().await.expect("it goes");
        assert_eq!((all.place(client(4), &limits), all.count()), (Place::Free, 2));
        assert!(all.entries.values().all(|entry| entry.client != client(3)), "the third did least lately");
        all.shutdown().await;
    }

    #[tokio::test]
    async fn a_client_with_too_many_gives_up_one_of_its_own_or_is_refused() {
        let (mut all, limits) = (Connections::default(), limits(10, 2));
        let turns: Vec<_> = (0..2).map(|_| begin(&mut all, client(1), &limits)).collect();
        begin(&mut all, client(2), &limits);
        let busy: Vec<_> = turns.iter().map(|turn| turn.call(Instant::now())).collect();
        assert_eq!(all.place(client(1), &limits), Place::Refused);
        assert_eq!(all.place(client(2), &limits), Place::Free);
        drop(busy);
        assert_eq!(all.place(client(1), &limits), Place::Later);
        all.ended().await.expect("it goes");
        assert_eq!(all.place(client(1), &limits), Place::Free);
    }

    #[tokio::test]
    async fn where_all_are_busy_whoever_comes_waits() {
        let (mut all, limits) = (Connections::default(), limits(1, 1));
        let busy = begin(&mut all, client(1), &limits).call(Instant::now());
        assert_eq!(all.place(client(1), &limits), Place::Later);
        assert_eq!(all.place(client(2), &limits), Place::Later);
        drop(busy);
        assert_eq!((all.place(client(2), &limits), all.leaving), (Place::Later, 1));
    }
}
