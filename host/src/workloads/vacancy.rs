//! After the last version of an actor has stopped: it stays vacant for a moment, because a deployment may bring the next one.

use std::{sync::Arc, time::Duration};

use claims::ActorId;

use super::actor::ActorWorkloads;
use crate::actors::Vacancy;

/// How long an actor stays vacant.
#[derive(Debug, Clone, Copy)]
pub struct Grace {
    /// Until a start that replaces it must have been asked for.
    pub announced: Duration,
    /// Until such a start must have ended.
    pub started: Duration,
}

impl Grace {
    /// Commands that belong together come within a few milliseconds; compiling may take long.
    pub const USUAL: Self = Self { announced: Duration::from_millis(250), started: Duration::from_secs(60) };
    /// Nothing is waited for.
    pub const NONE: Self = Self { announced: Duration::ZERO, started: Duration::ZERO };
}

/// Closes a vacant actor once no start that is under way may bring it back.
pub fn close_later(work: &Arc<ActorWorkloads>, id: ActorId, vacancy: Vacancy, grace: Grace) {
    if grace.announced.is_zero() {
        return work.actors.close(&id, vacancy);
    }
    let (work, life) = (work.clone(), work.life.clone());
    life.spawn(async move {
        tokio::select! {
            () = work.life.stop.cancelled() => {}
            () = settle(&work, &id, grace) => {}
        }
        work.actors.close(&id, vacancy);
    });
}

async fn settle(work: &ActorWorkloads, id: &ActorId, grace: Grace) {
    tokio::time::sleep(grace.announced).await;
    let mut changed = work.starts.follow();
    let over = async { while work.starts.may_bring(id) && changed.changed().await.is_ok() {} };
    tokio::time::timeout(grace.started, over).await.ok();
}
