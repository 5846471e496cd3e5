//! Why there is no verdict on the question itself.

use super::diagnosis::Diagnosis;
use crate::terminal::failure::Failure;

/// Why there is no verdict on the question itself.
pub enum NoVerdict {
    /// NATS does not let this command ask, which is an answer.
    Forbidden(String),
    /// Anything else.
    Failure(Failure),
}

impl<E: Into<Failure>> From<E> for NoVerdict {
    fn from(error: E) -> Self {
        let failure = error.into();
        match failure.forbidden() {
            Some(forbidden) => Self::Forbidden(forbidden.to_string()),
            None => Self::Failure(failure),
        }
    }
}

/// A verdict, or why there is none.
pub type Verdict = Result<Diagnosis, NoVerdict>;
