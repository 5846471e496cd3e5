//! One entry per operation of the control interface: its subject, who listens and answers, what is sent and what comes
//! back, who may ask.
//!
//! Subjects are rendered and read, subscriptions made, permissions and the table of `docs/protocol.md` derived from here.
//! Pure. Invariants: an entry and its variant of [`ControlSubject`] lead to each other; where two forms fit a subject, the
//! one that spells out the earlier token is meant.

use claims::HostId;

use super::names::{ConfigKey, ControlSubject};
use crate::subject::{SubjectError, token};

/// Who answers an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// Every host.
    Every,
    /// Every host that can and may; the others are silent.
    Offers,
    /// The host that the subject names.
    Named,
    /// One host, through a queue group.
    One(&'static str),
}

/// What an operation is.
#[derive(Debug)]
pub struct Operation {
    /// What it does, for people.
    pub name: &'static str,
    /// Its subject after the root; `{host}`, `{entity}` and `{key}` stand for a token.
    pub subject: &'static str,
    /// Another form that is read, and never written.
    pub also: Option<&'static str>,
    /// What hosts listen to for it.
    pub listens: &'static str,
    /// Who answers.
    pub answers: Answers,
    /// The file of its messages, below `crates/lattice/src/control`.
    pub messages: &'static str,
    /// Name of its request; empty where it has no body or an opaque one.
    pub request: &'static str,
    /// Name of its reply.
    pub reply: &'static str,
    /// What somebody who looks and changes nothing may publish for it.
    pub observed: Option<&'static str>,
    /// Whether hosts of others do not serve it.
    pub ours: bool,
    pub(super) read: fn(&Found<'_>) -> Result<ControlSubject, SubjectError>,
}

/// The tokens that stand in a subject for what its form leaves open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found<'a> {
    pub(super) host: &'a str,
    pub(super) entity: &'a str,
    pub(super) key: &'a str,
}

impl<'a> Found<'a> {
    fn set(&mut self, open: &str, token: &'a str) {
        match open {
            "{host}" => self.host = token,
            "{entity}" => self.entity = token,
            _ => self.key = token,
        }
    }

    fn get(&self, open: &str) -> &'a str {
        match open {
            "{host}" => self.host,
            "{entity}" => self.entity,
            _ => self.key,
        }
    }

    pub(super) fn host(&self) -> Result<HostId, SubjectError> {
        token(self.host, "host id")
    }

    pub(super) fn config(&self) -> ConfigKey {
        ConfigKey { entity: self.entity.to_owned(), key: self.key.to_owned() }
    }

    pub(super) fn entity(&self) -> String {
        self.entity.to_owned()
    }
}

pub(super) fn is_open(token: &str) -> bool {
    token.starts_with('{')
}

/// What a tail leaves in the places that a form leaves open; none when it does not fit.
pub(super) fn fit<'a>(form: &str, tail: &'a str) -> Option<Found<'a>> {
    let (mut found, mut forms, mut tokens) = (Found::default(), form.split('.'), tail.split('.'));
    loop {
        match (forms.next(), tokens.next()) {
            (None, None) => return Some(found),
            (Some(open), Some(token)) if is_open(open) && !token.is_empty() => found.set(open, token),
            (Some(form), Some(token)) if form == token => {}
            _ => return None,
        }
    }
}

impl Operation {
    /// The tail of the subject with these tokens in its open places.
    pub(super) fn fill(&self, found: &Found<'_>) -> String {
        let tokens = self.subject.split('.').map(|token| if is_open(token) { found.get(token) } else { token });
        tokens.collect::<Vec<_>>().join(".")
    }

    /// Its row in the table of `docs/protocol.md`.
    #[must_use]
    pub fn row(&self) -> String {
        let who = match self.answers {
            Answers::Every => "every host",
            Answers::Offers => "every host that can and may",
            Answers::Named => "that host",
            Answers::One(_) => "one host",
        };
        let ours = if self.ours { " of ours" } else { "" };
        let request = if self.request.is_empty() { "–".to_owned() } else { format!("`{}`", self.request) };
        let also = self.also.map(|also| format!(", also `{also}`")).unwrap_or_default();
        format!(
            "| {} | `{}`{also} | {who}{ours} | {request} | `{}` | `control/{}.rs` |",
            self.name, self.subject, self.reply, self.messages
        )
    }
}
