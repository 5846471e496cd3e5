//! Progress bars for what is up- and downloaded.
//!
//! On stderr, only on a terminal and only for people: what is piped or JSON shows none. A bar leaves nothing behind.

use std::{
    io::{IsTerminal, stderr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use artifacts::{Progress, Silent};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::terminal::output::Format;

const KNOWN: &str = "{msg}  {wide_bar}  {bytes}/{total_bytes}  {bytes_per_sec}";
const UNKNOWN: &str = "{msg}  {spinner}  {bytes}  {bytes_per_sec}";

/// What shows progress in this format, here and now.
pub fn shown(format: Format) -> Box<dyn Progress> {
    if format == Format::Text && stderr().is_terminal() { Box::new(Bars::default()) } else { Box::new(Silent) }
}

/// One bar at a time.
#[derive(Default)]
struct Bars {
    bar: Mutex<Option<ProgressBar>>,
}

impl Bars {
    fn swap(&self, bar: Option<ProgressBar>) -> Option<ProgressBar> {
        std::mem::replace(&mut *self.bar.lock().unwrap_or_else(PoisonError::into_inner), bar)
    }
}

impl Progress for Bars {
    fn start(&self, what: &str, total: Option<u64>) {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(if total.is_some() { KNOWN } else { UNKNOWN }) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        if let Some(before) = self.swap(Some(bar)) {
            before.finish_and_clear();
        }
    }

    fn advance(&self, bytes: u64) {
        if let Some(bar) = &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            bar.inc(bytes);
        }
    }

    fn finish(&self) {
        if let Some(bar) = self.swap(None) {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_of_both_kinds_of_bars_are_right() {
        for template in [KNOWN, UNKNOWN] {
            ProgressStyle::with_template(template).expect("a template");
        }
    }
}
