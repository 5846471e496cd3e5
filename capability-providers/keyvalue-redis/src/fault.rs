//! How Redis fails, and what a caller is told.

use provider_sdk::contracts::CallError;
use redis::RedisError;

/// The code with which our scripts say that an answer is too large.
pub const TOO_LARGE: &str = "TOOLARGE";

/// Why an operation was not answered.
#[derive(Debug)]
pub enum Fault {
    /// The connection is of no use any more.
    Connection(String),
    /// The server is there and refuses everything: it loads, is read-only, or wants a password.
    Server(String),
    /// The caller's business.
    Call(CallError),
}

impl From<CallError> for Fault {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        let sentence = || match error.detail() {
            Some(detail) => detail.to_owned(),
            None => error.to_string(),
        };
        match error.code() {
            _ if error.is_io_error() || error.is_unrecoverable_error() || error.is_timeout() => {
                Self::Connection(error.to_string())
            }
            Some(TOO_LARGE) => Self::Call(CallError::LimitExceeded { limit: sentence() }),
            Some("WRONGTYPE") => {
                let message = "the key holds another kind of data than the operation is for".to_owned();
                Self::Call(CallError::Reported { message })
            }
            Some("ERR") | None => Self::Call(CallError::Reported { message: sentence() }),
            Some(code) => Self::Server(format!("{code} {}", sentence())),
        }
    }
}

/// Bytes that were to be text.
pub fn not_text(what: &str) -> Fault {
    Fault::Call(CallError::Reported { message: format!("{what} is no text, which this operation cannot return") })
}
