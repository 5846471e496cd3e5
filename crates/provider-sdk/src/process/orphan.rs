//! Noticing that the host is gone, however it went: SIGKILL gives it no time to tell.
//!
//! On Linux the kernel sends a signal when the parent dies. It sends it already when the *thread* that started us ends,
//! so the signal is only a reason to look; a slow timer is another, for systems without the signal. Looking means: has
//! another process adopted us?

use std::time::Duration;

use rustix::process::{Pid, getppid};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The process that started this one.
pub struct Parent(Option<Pid>);

impl Parent {
    /// Remembers the parent and asks for the signal. To be called first of all: who the parent of an orphan was
    /// cannot be found out.
    pub fn watch() -> Self {
        let parent = getppid();
        #[cfg(target_os = "linux")]
        {
            // Without handler this signal would end us, which is right until there is one. A refusal leaves the timer.
            let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::USR1));
        }
        Self(parent)
    }

    /// Returns when the parent is gone.
    pub async fn gone(&self) {
        let mut told = signal(SignalKind::user_defined1()).ok();
        let mut timer = interval(LOOK_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while getppid() == self.0 {
            tokio::select! {
                _ = timer.tick() => {}
                () = async {
                    match &mut told {
                        Some(told) => _ = told.recv().await,
                        None => std::future::pending().await,
                    }
                } => {}
            }
        }
    }
}
