//! A verdict: the steps that were looked at, up to the one that breaks.
//!
//! Invariant: at most one step is broken, and it is the last one that was looked at.

use super::{cause::Cause, facts::Facts};

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It holds.
    Ok,
    /// It breaks here.
    Broken,
    /// Nobody knows.
    Unknown,
}

/// One step that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub name: &'static str,
    /// How it stands.
    pub state: State,
    /// What is the case.
    pub text: String,
}

/// The verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// What was asked, in words.
    pub question: String,
    /// What was looked at, up to where it breaks.
    pub steps: Vec<Step>,
    /// Where it breaks; none when nothing does.
    pub cause: Option<Cause>,
    /// What else should be known.
    pub remarks: Vec<String>,
}

/// What a step found: something to say, or where it breaks.
pub type Found = Result<(State, String), Cause>;

impl Diagnosis {
    /// A verdict on which nothing is known yet.
    pub fn of(question: impl Into<String>, facts: &Facts) -> Self {
        Self { question: question.into(), steps: Vec::new(), cause: None, remarks: facts.silent.clone() }
    }

    /// A verdict of a single, broken step.
    pub fn of_one(question: impl Into<String>, step: &'static str, cause: Cause) -> Self {
        let start = Self { question: question.into(), steps: Vec::new(), cause: None, remarks: Vec::new() };
        start.then(step, |_| Err(cause))
    }

    /// Looks at the next step, unless an earlier one broke.
    pub fn then(mut self, name: &'static str, look: impl FnOnce(&mut Vec<String>) -> Found) -> Self {
        if self.cause.is_some() {
            return self;
        }
        let (state, text) = match look(&mut self.remarks) {
            Ok(found) => found,
            Err(cause) => {
                let text = cause.sentence.clone();
                self.cause = Some(cause);
                (State::Broken, text)
            }
        };
        self.steps.push(Step { name, state, text });
        self
    }
}
