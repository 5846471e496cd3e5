//! What a piece of work allocates, counted: for laws about memory.
//!
//! Counts what the thread that does the work allocates, so that others may run beside it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The allocator of the system, counting for each thread what is in use and the most that ever was.
struct Counting;

thread_local! {
    static IN_USE: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator is unsafe by nature; this one only counts and passes on")]
// SAFETY: every call goes to the allocator of the system with the arguments it came with. The counters are plain cells that
// are there from the start of a thread: touching them allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(size(layout));
        // SAFETY: the contract of this method is that of the one called.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-size(layout));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn size(layout: Layout) -> i64 {
    i64::try_from(layout.size()).unwrap_or(i64::MAX)
}

fn count(bytes: i64) {
    // A thread that is ending has no counters any more.
    let _ = IN_USE.try_with(|in_use| {
        let now = in_use.get().saturating_add(bytes);
        in_use.set(now);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now)));
    });
}

/// The most bytes that `work` has in use at one time, beside what was there before.
pub(crate) fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = IN_USE.with(Cell::get);
    PEAK.with(|peak| peak.set(before));
    let result = work();
    let peak = PEAK.with(Cell::get).saturating_sub(before);
    (result, usize::try_from(peak).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allocated_is_counted() {
        let (_, peak) = peak_of(|| (0..100).map(|_| drop(std::hint::black_box(vec![0u8; 1000]))).count());
        assert!((1000..3000).contains(&peak), "one at a time: {peak}");
        let (kept, peak) = peak_of(|| std::hint::black_box(vec![0u8; 100_000]));
        assert!((100_000..101_000).contains(&peak), "{peak}");
        drop(kept);
    }
}
