//! Who runs now, who waits, where it runs and what it has used.
//!
//! Knows neither what a guest is nor how it is called. Every file is a mechanism of its own; [`Schedule`] is all of them
//! for one engine.

pub(crate) mod admission;
pub(crate) mod admitted;
pub(crate) mod background;
pub(crate) mod fairness;
pub(crate) mod guest_memory;
pub(crate) mod meter;
pub(crate) mod runs_long;
pub(crate) mod thread_idle;
pub(crate) mod ticker;

use std::sync::Arc;

use self::{background::Background, fairness::Fairness, ticker::Ticker};

/// What all guests of one engine share in running.
pub(crate) struct Schedule {
    pub(crate) ticker: Ticker,
    pub(crate) background: Background,
    pub(crate) fairness: Arc<Fairness>,
    /// Instances that may be alive at once over all actors.
    pub(crate) max_instances: u32,
}
