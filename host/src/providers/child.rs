//! A supervised child as others see it: whether it is up, how it ended, what it said.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::keys::OwnKey;

/// So many ends in a row, each soon after the start, are a crash loop.
pub(super) const CRASH_LOOP: u32 = 4;
/// How long a new process may take until its first health answer.
pub const FIRST_ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Handle of a supervised child.
pub struct Process {
    pub(super) condition: watch::Receiver<Condition>,
    pub(super) ended: watch::Receiver<bool>,
    /// What it signs with.
    pub(super) key: OwnKey,
}

/// What is known of a child.
#[derive(Debug, Clone, Default)]
pub(super) struct Condition {
    pub(super) up: bool,
    /// When it was started.
    pub(super) since: Option<Instant>,
    /// How often it was started.
    pub(super) launches: u64,
    /// How often in a row it ended soon after its start.
    pub(super) ends: u32,
    /// How it ended last.
    pub(super) status: String,
    /// Whether it was told to, and is not started again.
    pub(super) stopped: bool,
    /// What it said last, for operators: it may be about servers and accounts that are none of a caller's business.
    pub(super) words: Option<String>,
}

impl Condition {
    /// Why it cannot be called, for whoever calls it.
    fn reason(&self) -> String {
        self.sentence(&self.status)
    }

    /// The same for whoever runs it.
    pub(super) fn told(&self) -> String {
        self.sentence(&self.end())
    }

    fn sentence(&self, how: &str) -> String {
        if self.stopped {
            return "it was stopped".to_owned();
        }
        let ends = self.ends;
        if ends >= CRASH_LOOP {
            return format!("crash loop: its process ended {ends} times in a row, last with {how}");
        }
        format!("its process ended with {how} and is being restarted")
    }

    /// How it ended, with what it said.
    fn end(&self) -> String {
        match &self.words {
            Some(words) => format!("{}, and the words `{words}`", self.status),
            None => self.status.clone(),
        }
    }
}

impl Process {
    /// Why the child cannot be called now, for its callers; none while it runs.
    #[must_use]
    pub fn down(&self) -> Option<String> {
        let condition = self.condition.borrow();
        (!condition.up).then(|| condition.reason())
    }

    /// Why the child of this [number](Self::number) answers nothing any more; none while it runs.
    #[must_use]
    pub fn left(&self, number: u64) -> Option<String> {
        let condition = self.condition.borrow();
        let again = || "its process ended during the call, and was started again".to_owned();
        if condition.up { (condition.launches != number).then(again) } else { Some(condition.reason()) }
    }

    /// What the child said last, if it is down.
    #[must_use]
    pub fn last_words(&self) -> Option<String> {
        let condition = self.condition.borrow();
        if condition.up { None } else { condition.words.clone() }
    }

    /// Whether the child was started so recently that it may still be on its way to its first answer.
    #[must_use]
    pub fn is_young(&self) -> bool {
        self.condition.borrow().since.is_some_and(|since| since.elapsed() < FIRST_ANSWER_WITHIN)
    }

    /// Which child runs, counted from the first.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.condition.borrow().launches
    }

    /// How the child ended, for operators, if it has since it was started or last ran well.
    #[must_use]
    pub fn has_ended(&self) -> Option<String> {
        let condition = self.condition.borrow();
        (condition.ends > 0).then(|| condition.end())
    }

    /// Resolves when the supervisor has ended and the child is gone.
    pub async fn stopped(&self) {
        self.ended.clone().wait_for(|ended| *ended).await.ok();
    }
}
