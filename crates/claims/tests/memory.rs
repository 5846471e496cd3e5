//! How much memory signing and verifying take, beside the file itself. Alone in its program: the allocator counts all.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use claims::archive::{self, Limits};
use claims::wasm::{self, Layer};
use common::{NOW, account, actor_claims, provider_claims};

/// The allocator of the system, counting what is in use and the most that ever was.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// One measurement at a time.
static MEASURING: Mutex<()> = Mutex::new(());

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator is unsafe by nature; this one only counts and passes on")]
// SAFETY: every call goes to the allocator of the system with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the contract of this method is that of the one called.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Counted as if it were moved, which it may be.
        grow(size);
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn grow(size: usize) {
    let now = IN_USE.fetch_add(size, Ordering::Relaxed) + size;
    PEAK.fetch_max(now, Ordering::Relaxed);
}

/// What `work` takes at its peak beyond what is there already.
fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = IN_USE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = work();
    (result, PEAK.load(Ordering::Relaxed) - before)
}

const FILE: usize = 10 << 20;
/// Token, JSON, keys: what does not grow with the file.
const SMALL: usize = 64 << 10;

/// A module of 10 MiB: code, data and names, in sections as compilers write them, with padded lengths if asked for.
fn module(padded: bool) -> Vec<u8> {
    let mut module = Layer::Module.header().to_vec();
    for (id, size) in [(1, 1 << 10), (10, 7 << 20), (11, FILE - (7 << 20) - (2 << 10))] {
        module.push(id);
        let mut rest = size;
        for place in 0..5 {
            let low = (rest & 0x7F) as u8;
            rest >>= 7;
            let last = if padded { place == 4 } else { rest == 0 };
            module.push(if last { low } else { low | 0x80 });
            if last {
                break;
            }
        }
        module.extend((0..size).map(|byte| (byte % 251) as u8));
    }
    module.shrink_to_fit();
    module
}

#[test]
fn signing_and_verifying_ten_mebibytes_takes_no_more_than_twice_the_file() {
    let _alone = MEASURING.lock().unwrap();
    for padded in [false, true] {
        let file = module(padded);
        assert!(file.len() > FILE - (2 << 10) && file.len() <= FILE);

        // The file and the signed file: no third copy.
        let (signed, peak) = peak_of(|| wasm::sign_actor(&file, actor_claims(), &account()).unwrap());
        assert!(peak <= file.len() + SMALL, "signing took {peak} bytes beside a file of {}", file.len());
        assert_eq!(signed.len(), signed.capacity());

        // Into a stream not even that.
        let (_, peak) = peak_of(|| wasm::sign_actor_to(&file, actor_claims(), &account(), io::sink()).unwrap());
        assert!(peak <= SMALL, "signing into a stream took {peak} bytes");

        let (actor, peak) = peak_of(|| wasm::verify_actor(&signed, NOW).unwrap());
        assert!(peak <= SMALL, "verifying took {peak} bytes");
        assert_eq!(actor.claims.metadata.unwrap().hash, wasm::canonical_hash(&file).unwrap());
    }
}

#[test]
fn an_archive_is_not_held_twice() {
    let _alone = MEASURING.lock().unwrap();
    let targets = [("x86_64-linux".to_owned(), module(false))];
    let archive = archive::create(provider_claims(), targets.into(), &account()).unwrap();
    for compress in [false, true] {
        // The window and tables of the compressor are about 300 KiB.
        let ((), peak) = peak_of(|| archive::write_to(&archive, compress, io::sink()).unwrap());
        assert!(peak <= 8 * SMALL, "writing took {peak} bytes");

        let packed = archive::write(&archive, compress).unwrap();
        let (read, peak) = peak_of(|| archive::read_from(packed.as_slice(), Limits::default()).unwrap());
        assert!(peak <= FILE + 8 * SMALL, "reading took {peak} bytes");
        assert!(read == archive);
        let (_, peak) = peak_of(|| {
            let other = archive::read_target_from(packed.as_slice(), "aarch64-linux", Limits::default());
            assert_eq!(other.unwrap_err().code(), "no_such_target");
        });
        assert!(peak <= 8 * SMALL, "a binary that is not wanted took {peak} bytes");
    }
}
