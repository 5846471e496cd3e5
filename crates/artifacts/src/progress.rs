//! Progress: how whoever waits learns how far a transfer is.

/// Told about a transfer while it happens. Called from the task that transfers, so implementations must not block.
pub trait Progress: Send + Sync {
    /// A transfer begins, or begins anew from nothing; `what` is for people, `total` is in bytes where it is known.
    fn start(&self, what: &str, total: Option<u64>);
    /// So many more bytes are there; what an earlier attempt left behind counts too.
    fn advance(&self, bytes: u64);
    /// The transfer ended, well or not.
    fn finish(&self);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _what: &str, _total: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn finish(&self) {}
}

/// Says that a transfer ended, however its scope was left.
pub(crate) struct Finish<'a>(pub(crate) &'a dyn Progress);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.finish();
    }
}
