//! The signals that end what runs in the foreground.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Result;

/// Resolves at the first signal to end.
///
/// # Errors
/// The system does not let us listen for them.
pub fn until_signal() -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}
