//! Memory for the time of a call.
//!
//! A host makes a fresh instance for each call, and Rust's own allocator begins by growing its memory. Beyond the room a
//! host gives for that, and on hosts that give none, it costs two changes of page protection for each call, and every
//! other thread of the host a flush. An arena is part of the memory the instance has from the start. Invariant: what
//! does not fit is the system allocator's business, so an arena bounds nothing.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::{Cell, UnsafeCell},
    ptr,
};

/// An allocator that takes from `SIZE` bytes of its own until they are used up, then from the system.
///
/// Only the memory allocated last is given back, or grows in place: everything else is free when the instance is.
/// An actor whose instances serve many calls (`calls-per-instance`) is better off without.
///
/// ```
/// # use actor_sdk::Arena;
/// #[global_allocator]
/// static MEMORY: Arena<{ 32 << 10 }> = Arena::new();
/// # fn main() {}
/// ```
#[repr(align(16))]
pub struct Arena<const SIZE: usize> {
    memory: UnsafeCell<[u8; SIZE]>,
    used: Cell<usize>,
}

// SAFETY: a module without shared memory has one thread. Elsewhere nothing is taken from the arena, see `here`.
unsafe impl<const SIZE: usize> Sync for Arena<SIZE> {}

impl<const SIZE: usize> Arena<SIZE> {
    /// An arena of which nothing is used.
    #[must_use]
    pub const fn new() -> Self {
        Self { memory: UnsafeCell::new([0; SIZE]), used: Cell::new(0) }
    }

    /// Where threads could meet, the arena is as good as used up.
    const fn here() -> bool {
        cfg!(all(target_family = "wasm", not(target_feature = "atomics")))
    }

    fn start(&self) -> usize {
        self.memory.get().addr()
    }

    fn take(&self, layout: Layout) -> Option<*mut u8> {
        let begin = self.start().checked_add(self.used.get())?.checked_next_multiple_of(layout.align())? - self.start();
        let end = begin.checked_add(layout.size()).filter(|end| *end <= SIZE)?;
        self.used.set(end);
        Some(self.memory.get().cast::<u8>().wrapping_add(begin))
    }

    fn offset_of(&self, memory: *mut u8) -> Option<usize> {
        memory.addr().checked_sub(self.start()).filter(|offset| *offset < SIZE)
    }

    /// Another length for what was taken last, if it fits.
    fn resize_last(&self, offset: usize, old: usize, new: usize) -> bool {
        let last = offset + old == self.used.get();
        let end = offset.checked_add(new).filter(|end| last && *end <= SIZE);
        end.inspect(|end| self.used.set(*end)).is_some()
    }
}

impl<const SIZE: usize> Default for Arena<SIZE> {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: what `take` hands out is aligned, inside the arena, and in nobody else's hands: `used` only falls back over
// memory that is given back. Everything else is the system's.
unsafe impl<const SIZE: usize> GlobalAlloc for Arena<SIZE> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let ours = if Self::here() { self.take(layout) } else { None };
        // SAFETY: the caller's promises are those of the system allocator.
        ours.unwrap_or_else(|| unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        match self.offset_of(memory) {
            Some(offset) => {
                self.resize_last(offset, layout.size(), 0);
            }
            // SAFETY: not ours, so the system gave it out, with this layout.
            None => unsafe { System.dealloc(memory, layout) },
        }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(offset) = self.offset_of(memory) else {
            // SAFETY: not ours, so the system gave it out, with this layout.
            return unsafe { System.realloc(memory, layout, size) };
        };
        if size <= layout.size() || self.resize_last(offset, layout.size(), size) {
            return memory;
        }
        // SAFETY: the caller promises that `size`, rounded up to the alignment, does not overflow.
        let grown = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !grown.is_null() {
            // SAFETY: both are live, and the old one has fewer bytes than the new one.
            unsafe { ptr::copy_nonoverlapping(memory, grown, layout.size()) };
        }
        grown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("a layout")
    }

    #[test]
    fn what_is_taken_is_aligned_apart_and_inside() {
        let arena = Arena::<100>::new();
        let taken = [(3, 1), (8, 8), (1, 1), (16, 16)].map(|(size, align)| {
            let memory = arena.take(layout(size, align)).expect("it fits");
            assert_eq!(memory.addr() % align, 0);
            memory.addr() - arena.start()..memory.addr() - arena.start() + size
        });
        assert!(taken.windows(2).all(|pair| pair[0].end <= pair[1].start), "{taken:?}");
        assert!(taken[3].end <= 100);
        assert!(arena.take(layout(100, 1)).is_none(), "it is used up");
    }

    #[test]
    fn only_the_last_is_given_back_and_grows() {
        let arena = Arena::<100>::new();
        let first = arena.offset_of(arena.take(layout(10, 1)).expect("it fits")).expect("ours");
        let second = arena.offset_of(arena.take(layout(10, 1)).expect("it fits")).expect("ours");
        assert!(!arena.resize_last(first, 10, 0), "it is not the last");
        assert!(arena.resize_last(second, 10, 90));
        assert!(!arena.resize_last(second, 90, 91), "there is no more");
        assert!(!arena.resize_last(second, 90, usize::MAX));
        assert!(arena.resize_last(second, 90, 0));
        assert_eq!(arena.used.get(), 10);
    }

    #[test]
    fn where_there_are_threads_the_system_serves() {
        static ARENA: Arena<64> = Arena::new();
        let layout = layout(16, 8);
        // SAFETY: the layout is not empty, and the memory is given back once, with it or the size it was given.
        unsafe {
            let memory = ARENA.alloc(layout);
            assert!(ARENA.offset_of(memory).is_none());
            memory.write(7);
            let memory = ARENA.realloc(memory, layout, 4096);
            assert_eq!(memory.read(), 7);
            ARENA.dealloc(memory, Layout::from_size_align_unchecked(4096, 8));
        }
        assert_eq!(ARENA.used.get(), 0);
    }
}
