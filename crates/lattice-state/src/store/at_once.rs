//! How many keys are written to the buckets at once.

use crate::rules::Rule;

/// Keys that are written at once.
const AT_ONCE: usize = 64;

/// So many, as long as they are written side by side.
pub(super) fn at_once() -> usize {
    if Rule::SendSideBySide.holds() { AT_ONCE } else { 1 }
}
