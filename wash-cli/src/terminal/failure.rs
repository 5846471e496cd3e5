//! Why a command did not do what was asked, in the shape in which it is shown.
//!
//! A [`Failure`] is one sentence, the causes below it, and the next step. It knows nothing of colors, formats or exit
//! codes of particular commands. Invariant: causes never repeat the sentence, and the hint is never part of either.

use std::{error::Error, fmt};

use artifacts::{CacheError, FetchError, NotAnArtifact, RegistryError};
use lattice::client::{ConnectError, ControlError, Forbidden};

/// What commands return.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// A failed command: sentence, causes, next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    exit_code: u8,
    forbidden: Option<Box<Forbidden>>,
}

impl Failure {
    /// A failure with this sentence: lower case, values in backticks, no full stop.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), hint: None, exit_code: 1, forbidden: None }
    }

    /// The command line itself is wrong: exit code 2 instead of 1.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(message).exiting_with(2)
    }

    /// Sets the exit code, where it says more than that something failed.
    #[must_use]
    pub fn exiting_with(self, exit_code: u8) -> Self {
        Self { exit_code, ..self }
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says what to do next where nothing said so yet.
    #[must_use]
    pub fn or_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Adds a cause below the others.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Puts a sentence about what was being done in front; what was the sentence becomes the first cause.
    #[must_use]
    pub fn while_doing(mut self, message: impl Into<String>) -> Self {
        let inner = std::mem::replace(&mut self.message, message.into());
        self.causes.insert(0, inner);
        self
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What lies below the sentence, outermost first.
    pub fn causes(&self) -> &[String] {
        &self.causes
    }

    /// The next step, when there is one to offer.
    pub fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// What the NATS user may not do, where that is why.
    pub fn forbidden(&self) -> Option<&Forbidden> {
        self.forbidden.as_deref()
    }

    /// The exit code: 2 for wrong usage, and 1 unless [`Failure::exiting_with`] was used.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

// `Failure` is deliberately no `std::error::Error`: that is what lets `?` turn every error into one.
impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut failure = Self::new(error.to_string());
        failure.hint = hint_of(&error);
        failure.forbidden = forbidden_by(&error).map(Box::new);
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Libraries which print their source as part of their own text would otherwise be read twice.
            let already_said = failure.causes.last().unwrap_or(&failure.message).contains(&text);
            if !already_said {
                failure.causes.push(text);
            }
            source = cause.source();
        }
        failure
    }
}

/// What NATS forbids, where that is the error.
fn forbidden_by(error: &(dyn Error + 'static)) -> Option<Forbidden> {
    match error.downcast_ref::<ControlError>() {
        Some(ControlError::Forbidden { forbidden, .. }) => Some(forbidden.clone()),
        _ => None,
    }
}

/// The next step, where an error knows one.
fn hint_of(error: &(dyn Error + 'static)) -> Option<String> {
    let lattice = || {
        let control = error.downcast_ref::<ControlError>().and_then(ControlError::hint);
        control.or_else(|| error.downcast_ref::<ConnectError>().map(ConnectError::hint)).map(str::to_owned)
    };
    let registry = || error.downcast_ref::<RegistryError>().map(RegistryError::next_step);
    let fetch = || error.downcast_ref::<FetchError>().map(FetchError::next_step);
    let content = || error.downcast_ref::<NotAnArtifact>().map(NotAnArtifact::next_step);
    let cache = || error.downcast_ref::<CacheError>().map(CacheError::next_step);
    lattice().or_else(registry).or_else(fetch).or_else(content).or_else(cache)
}

/// Adds what was being done, or what to do next, to a result on its way out.
pub trait OrFail<T> {
    /// Says what was being done.
    fn while_doing(self, message: impl FnOnce() -> String) -> Result<T>;
    /// Says what to do next.
    fn hint(self, hint: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Failure>> OrFail<T> for std::result::Result<T, E> {
    fn while_doing(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| error.into().while_doing(message()))
    }

    fn hint(self, hint: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| error.into().hint(hint()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot fetch `a`")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn the_chain_of_an_error_becomes_causes_in_order() {
        let failure = Failure::from(Outer(std::io::Error::other("disk is full"))).while_doing("cannot start `echo`");
        assert_eq!(failure.message(), "cannot start `echo`");
        assert_eq!(failure.causes(), ["cannot fetch `a`", "disk is full"]);
        assert_eq!(failure.to_string(), "cannot start `echo`: cannot fetch `a`: disk is full");
    }

    #[test]
    fn only_wrong_usage_exits_with_two() {
        assert_eq!(Failure::new("x").exit_code(), 1);
        assert_eq!(Failure::usage("x").exit_code(), 2);
        assert_eq!(Failure::usage("x").while_doing("y").exit_code(), 2);
    }
}
