//! What is counted, traced and told of the calls of one actor; shared by its versions and their ways out.

use std::sync::Arc;

use telemetry::Tracer;

use super::failure_lines::FailureLines;
use crate::{failures::Failures, meters::CallMeter};

/// What is seen of the calls of one actor, in both directions.
#[derive(Debug, Default)]
pub struct ActorCalls {
    /// Calls it gets.
    pub arrived: CallMeter,
    /// Calls it makes.
    pub made: CallMeter,
    /// Makes their spans.
    pub tracer: Tracer,
    /// Writes about those that fail.
    pub lines: FailureLines,
    /// Remembers what goes wrong when nobody waits any more.
    pub failures: Arc<Failures>,
}

impl ActorCalls {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(tracer: Tracer, failures: Arc<Failures>) -> Self {
        Self { tracer, failures, ..Self::default() }
    }
}
