//! Waiting for what the lattice says about work that was asked for.
//!
//! The subscription is opened before the request is sent, so that no event is missed, and waiting ends with the event,
//! not with the clock. Invariant: every wait has a deadline, and the end of the host ends it too.

use std::time::Duration;

use claims::HostId;
use lattice::{
    client::{ControlClient, EventStream},
    event::{Event, EventKind},
};
use tokio::time::{Instant, timeout_at};

use crate::terminal::failure::{Failure, OrFail, Result};

/// Hosts of others say nothing when an artifact cannot be fetched, or runs already; their own `wash` waits as long.
const PATIENCE_WITH_OTHERS: Duration = Duration::from_secs(5);

/// How long to wait for the outcome of a start: hosts of ours report every outcome, so theirs is rarely waited out.
pub fn usual_patience(of_ours: Duration, is_of_others: bool) -> Duration {
    if is_of_others { of_ours.min(PATIENCE_WITH_OTHERS) } else { of_ours }
}

/// What an event means for the one who waits.
#[derive(Debug)]
pub enum Verdict<T> {
    /// It is done.
    Done(T),
    /// It failed; the reason as the host gave it.
    Failed(String),
    /// It is about something else.
    Unrelated,
}

/// A subscription to the events of the lattice.
pub struct Watch {
    events: EventStream,
    patience: Duration,
}

impl Watch {
    /// Subscribes. The time runs from each [`Watch::until`] on.
    ///
    /// # Errors
    /// The lattice cannot be reached.
    pub async fn open(control: &ControlClient, patience: Duration) -> Result<Self> {
        let events = control.events().await.while_doing(|| "cannot listen to the events of the lattice".to_owned())?;
        Ok(Self { events, patience })
    }

    /// How long each wait takes at most.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Waits for the event that decides. `None`: it did not come in time.
    ///
    /// # Errors
    /// The host reported a failure (its reason is the cause) or ended, or the connection did. `doing` says what was
    /// being done.
    pub async fn until<T>(
        &mut self,
        host: &HostId,
        doing: &str,
        mut judge: impl FnMut(&Event) -> Verdict<T>,
    ) -> Result<Option<T>> {
        let deadline = Instant::now() + self.patience;
        loop {
            let Ok(next) = timeout_at(deadline, self.events.next()).await else { return Ok(None) };
            let Some(event) = next else {
                return Err(Failure::new("the connection to the lattice ended").while_doing(doing));
            };
            match judge(&event) {
                Verdict::Done(outcome) => return Ok(Some(outcome)),
                Verdict::Failed(reason) => return Err(Failure::new(reason).while_doing(doing)),
                Verdict::Unrelated if is_end_of(host, &event) => {
                    return Err(Failure::new(format!("host `{host}` stopped")).while_doing(doing));
                }
                Verdict::Unrelated => {}
            }
        }
    }
}

/// Says that `awaited` did not come.
pub fn timed_out(awaited: &str, host: &HostId, patience: Duration) -> Failure {
    Failure::new(format!("waited {} for {awaited} from host `{host}`, and it did not come", seconds(patience))).hint(
        format!(
            "it may still come: see `wash get inventory {host}`, and the log of the host; hosts of the 0.82 line \
             report no artifact that cannot be fetched"
        ),
    )
}

fn seconds(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{} ms", duration.as_millis())
    }
}

fn is_end_of(host: &HostId, event: &Event) -> bool {
    event.data.kind() == Some(EventKind::HostStopped) && event.source == host.as_str()
}
