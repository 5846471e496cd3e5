//! The signals that end what runs in the foreground: those of a host.

use std::future::Future;

use crate::terminal::failure::Result;

/// Resolves at the first signal to end that was not ignored when `wash` began.
///
/// # Errors
/// The system does not let us listen for them.
pub fn until_signal() -> Result<impl Future<Output = ()>> {
    Ok(host::until_signal()?)
}
