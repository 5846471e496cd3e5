//! What one HTTP exchange may use: how large, and how long.
//!
//! A caller's patience is for the next thing it waits for, not for the whole: as long as the request's body comes in,
//! time for the head of the answer has not begun to run; as long as the answer's body moves, it may go on. Pure.

use std::time::{Duration, Instant};

/// A time, and the setting that it is from, as operators write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// How long.
    pub limit: Duration,
    /// The setting, with whose it is: `timeout_ms` of the link.
    pub name: &'static str,
}

/// The terms of one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpTerms {
    /// Most bytes of the request's body.
    pub max_body: u64,
    /// From the end of the request to the head of its answer.
    pub head: Time,
    /// From one piece of the answer's body to the next, whoever of both sides is slow.
    pub pause: Time,
}

impl Time {
    /// The shorter of two.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if other.limit < self.limit { other } else { self }
    }

    /// When it is over, if it begins now.
    #[must_use]
    pub fn from_now(&self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.limit).unwrap_or(now)
    }
}

impl HttpTerms {
    /// The same for somebody who has no more time than this for anything.
    #[must_use]
    pub fn within(self, own: Time) -> Self {
        Self { head: self.head.or(own), pause: self.pause.or(own), ..self }
    }
}
