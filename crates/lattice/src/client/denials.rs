//! What a NATS server forbids on a connection, and telling it to whoever waits for an answer that cannot come.
//!
//! A server says so beside the request, in a line of its own, and then there is silence. Knows the words of the server and
//! nothing of requests. Invariant: at most [`MOST`] subjects are kept, whatever a server sends.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// Subjects that are remembered.
const MOST: usize = 64;
/// Longest subject that is kept, in characters.
const MOST_SUBJECT: usize = 512;

/// What was to be done with a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Sending to it.
    Publish,
    /// Listening to it.
    Subscribe,
}

impl Use {
    /// A word for messages and for the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
        }
    }
}

/// A subject that the user of a connection may not use so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forbidden {
    /// What it may not do.
    pub operation: Use,
    /// With which subject.
    pub subject: String,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the NATS user may not {} `{}`", self.operation.as_str(), self.subject)
    }
}

impl Forbidden {
    /// Reads `Permissions Violation for Publish to "a.b"` and `… for Subscription to "a.b" using queue "q"`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (_, rest) = split_ignoring_case(text, "permissions violation for ")?;
        let (operation, rest) = match split_ignoring_case(rest, "publish to ") {
            Some((_, rest)) => (Use::Publish, rest),
            None => (Use::Subscribe, split_ignoring_case(rest, "subscription to ")?.1),
        };
        let subject: String =
            rest.trim_start_matches('"').chars().take_while(|c| *c != '"').take(MOST_SUBJECT).collect();
        (!subject.is_empty()).then_some(Self { operation, subject })
    }
}

fn split_ignoring_case<'a>(text: &'a str, words: &str) -> Option<(&'a str, &'a str)> {
    let at = text.to_ascii_lowercase().find(words)?;
    Some((&text[..at], &text[at + words.len()..]))
}

/// What a server has forbidden on one connection. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Denials(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    news: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Seen {
    count: u64,
    recent: VecDeque<(u64, Forbidden)>,
}

impl Denials {
    /// The server forbade something. Whether that is new.
    pub fn note(&self, forbidden: Forbidden) -> bool {
        let mut seen = self.lock();
        let known = seen.recent.iter().position(|(_, known)| *known == forbidden);
        known.and_then(|at| seen.recent.remove(at));
        seen.count += 1;
        let count = seen.count;
        if seen.recent.len() >= MOST {
            seen.recent.pop_front();
        }
        seen.recent.push_back((count, forbidden));
        drop(seen);
        self.0.news.send_replace(count);
        known.is_none()
    }

    /// Everything that is remembered, the oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Forbidden> {
        self.lock().recent.iter().map(|(_, forbidden)| forbidden.clone()).collect()
    }

    /// How many there have been; what comes later has a higher number.
    pub(super) fn count(&self) -> u64 {
        self.lock().count
    }

    /// Why a request to `subject` that was sent after `since` gets no answer, as far as is known now: it was not let
    /// through, or nobody may listen for answers on this connection.
    pub(super) fn explain(&self, subject: &str, since: u64) -> Option<Forbidden> {
        let seen = self.lock();
        let explains = |(number, forbidden): &&(u64, Forbidden)| match forbidden.operation {
            Use::Publish => *number > since && forbidden.subject == subject,
            Use::Subscribe => forbidden.subject.starts_with("_INBOX"),
        };
        seen.recent.iter().rev().find(explains).map(|(_, forbidden)| forbidden.clone())
    }

    /// [`Denials::explain`], as soon as there is something to say; never resolves otherwise.
    pub(super) async fn explained(&self, subject: &str, since: u64) -> Forbidden {
        let mut news = self.0.news.subscribe();
        loop {
            if let Some(forbidden) = self.explain(subject, since) {
                return forbidden;
            }
            if news.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_server_are_read() {
        let publish = Forbidden::parse("nats: Permissions Violation for Publish to \"wasmbus.ctl.default.ping.hosts\"");
        assert_eq!(
            publish.map(|f| (f.operation, f.subject)),
            Some((Use::Publish, "wasmbus.ctl.default.ping.hosts".into()))
        );
        let queue = Forbidden::parse("permissions violation for subscription to \"a.*\" using queue \"q\"");
        assert_eq!(queue.map(|f| (f.operation, f.subject)), Some((Use::Subscribe, "a.*".into())));
        for other in
            ["", "Permissions Violation", "Permissions Violation for Publish to \"\"", "maximum payload exceeded"]
        {
            assert_eq!(Forbidden::parse(other), None, "{other}");
        }
    }

    #[test]
    fn only_what_came_after_a_request_explains_it_and_the_memory_is_bounded() {
        let denials = Denials::default();
        let publish = |subject: &str| Forbidden { operation: Use::Publish, subject: subject.to_owned() };
        assert!(denials.note(publish("a")) && !denials.note(publish("a")));
        let since = denials.count();
        assert_eq!(denials.explain("a", since), None);
        denials.note(publish("a"));
        assert_eq!(denials.explain("a", since), Some(publish("a")));
        for number in 0..1000 {
            denials.note(publish(&number.to_string()));
        }
        assert_eq!(denials.all().len(), MOST);
        let inbox = Forbidden { operation: Use::Subscribe, subject: "_INBOX.x.*".to_owned() };
        denials.note(inbox.clone());
        assert_eq!(denials.explain("b", denials.count()), Some(inbox), "no answer comes to anything any more");
    }
}
