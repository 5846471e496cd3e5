//! One call in an instance, and the work that is put off until after its answer.
//!
//! Invariant: a call ends by its deadline, and a panic of a host function is told as a fault of ours.

use std::{any::Any, panic::AssertUnwindSafe};

use bytes::Bytes;
use contracts::CallError;
use futures_util::FutureExt;
use tokio::time::timeout_at;

use super::{Guest, linked::Body};
use crate::{
    call::outbound::CallContext,
    error::ended::{Failure, deadline, panic_text},
    schedule::{admitted::Admitted, thread_idle, ticker::Ticker},
};

/// Held while something runs that is no call.
struct Running<'a>(&'a Ticker);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Guest {
    /// Runs the call up to its deadline, turns a panic into a fault of ours, and keeps the permit until it is over.
    pub(super) async fn guarded(
        self,
        body: Body,
        operation: String,
        payload: Bytes,
        context: CallContext,
        admitted: Admitted,
    ) -> Result<Bytes, Failure> {
        let until = context.deadline;
        let call = AssertUnwindSafe(self.run(&body, &operation, payload, context)).catch_unwind();
        let outcome = timeout_at(until.into(), call).await;
        let result = match outcome {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => Err(self.fault(&operation, &*panic).into()),
            Err(_) => Err(deadline(self.shared.actor.id(), &operation).into()),
        };
        drop(admitted);
        result
    }

    async fn run(&self, body: &Body, operation: &str, payload: Bytes, context: CallContext) -> Result<Bytes, Failure> {
        let actor = &self.shared.actor;
        match body {
            Body::Module(module) => {
                let (outcome, spent) = module.call(actor, operation, payload, context).await;
                if let Some(spent) = spent
                    && self.may_put_off()
                    && module.leave(spent)
                {
                    let guest = self.clone();
                    thread_idle::run_later(move || guest.tend());
                }
                outcome
            }
            Body::Component(component) => Box::pin(component.call(actor, operation, payload, context)).await,
        }
    }

    /// Whether nothing else of this guest runs, so that work may be put off until after the answer.
    fn may_put_off(&self) -> bool {
        let (admission, platform) = (&self.shared.admission, &self.shared.platform);
        let schedule = &platform.schedule;
        let has_room = || platform.idle.has_plenty(schedule.ticker.running(), schedule.max_instances);
        thread_idle::is_used() && admission.is_alone() && has_room()
    }

    /// What was put off. It counts as running: a start function may compute, and only ticks stop it.
    fn tend(&self) {
        let schedule = &self.shared.platform.schedule;
        let ticker = &schedule.ticker;
        if let Some(Body::Module(module)) = self.shared.code.here()
            && ticker.enter(schedule.max_instances)
        {
            let _running = Running(ticker);
            module.tend(&self.shared.actor);
        }
    }

    fn fault(&self, operation: &str, panic: &(dyn Any + Send)) -> CallError {
        let message = panic_text(panic);
        tracing::error!(actor = self.shared.actor.id(), operation, %message, "a host function panicked");
        CallError::HostFault { message }
    }
}
