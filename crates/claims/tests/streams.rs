//! Archives as streams: bytes that trickle, stop or lie give the same answers as a whole archive in memory.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::io::{self, Read, Write};

use claims::archive::{self, Limits};
use claims::{Archive, ArchiveError};
use common::{account, provider_claims};

const LIMITS: Limits = Limits { unpacked_bytes: 1 << 20, entries: 8 };

fn sample() -> Archive {
    let targets = ["x86_64-linux", "aarch64-linux"].map(|target| (target.to_owned(), target.repeat(500).into_bytes()));
    archive::create(provider_claims(), targets.into(), &account()).unwrap()
}

/// Gives one byte at a time, with an interruption before each, and fails after so many.
struct Trickle<'a> {
    bytes: &'a [u8],
    good: usize,
    interrupt: bool,
}

impl<'a> Trickle<'a> {
    fn of(bytes: &'a [u8], good: usize) -> Self {
        Self { bytes, good, interrupt: true }
    }
}

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupt = !self.interrupt;
        if self.interrupt {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.good == 0 {
            return Err(io::Error::other("the line went dead"));
        }
        self.good -= 1;
        let count = buffer.len().min(1);
        self.bytes.read(&mut buffer[..count])
    }
}

#[test]
fn an_archive_that_trickles_in_is_the_same() {
    for compress in [false, true] {
        let bytes = archive::write(&sample(), compress).unwrap();
        assert_eq!(archive::read_from(Trickle::of(&bytes, usize::MAX), LIMITS).unwrap(), sample_like(&bytes));
        let one = archive::read_target_from(Trickle::of(&bytes, usize::MAX), "aarch64-linux", LIMITS).unwrap();
        assert_eq!(one.targets.keys().collect::<Vec<_>>(), ["aarch64-linux"]);
        let error = archive::read_target_from(bytes.as_slice(), "arm-linux", LIMITS).unwrap_err();
        assert_eq!(error.code(), "no_such_target");
    }
}

fn sample_like(bytes: &[u8]) -> Archive {
    archive::read(bytes).unwrap()
}

#[test]
fn a_stream_that_fails_is_unreadable_wherever_it_fails() {
    for compress in [false, true] {
        let bytes = archive::write(&sample(), compress).unwrap();
        // The end of a tar stream is two blocks of zeroes, which nobody needs; what follows the first is not read.
        let needed = if compress { bytes.len() - 16 } else { bytes.len() - 1024 };
        for good in (0..needed).step_by(97) {
            let error = archive::read_from(Trickle::of(&bytes, good), LIMITS).unwrap_err();
            assert!(matches!(error, ArchiveError::Unreadable(_)), "after {good}: {error}");
        }
    }
}

#[test]
fn limits_hold_for_streams() {
    let endless = io::repeat(0x1F).take(3).chain(io::repeat(0));
    assert!(archive::read_from(endless, LIMITS).is_err());
    let bytes = archive::write(&sample(), false).unwrap();
    let exactly = Limits { unpacked_bytes: bytes.len() as u64, entries: 3 };
    assert!(archive::read_from(bytes.as_slice(), exactly).is_ok());
    let tight = Limits { unpacked_bytes: 2048, ..exactly };
    assert!(matches!(archive::read_from(bytes.as_slice(), tight), Err(ArchiveError::TooLarge { limit: 2048 })));
    for short in [&bytes[..0], &bytes[..1], &bytes[..2]] {
        assert!(archive::read_from(short, LIMITS).is_err());
    }
}

/// Has room for so many bytes.
struct Room(usize);

impl Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or_else(|| io::Error::other("full"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn writing_into_a_stream_gives_the_same_bytes_and_tells_when_it_is_full() {
    for compress in [false, true] {
        let bytes = archive::write(&sample(), compress).unwrap();
        let mut streamed = Vec::new();
        archive::write_to(&sample_like(&bytes), compress, &mut streamed).unwrap();
        assert_eq!(streamed, bytes);
        for room in [0, 100, bytes.len() - 1] {
            let error = archive::write_to(&sample_like(&bytes), compress, Room(room)).unwrap_err();
            assert_eq!(error.code(), "archive_unwritable");
        }
    }
    let mut untouched = Vec::new();
    let mut archive = sample();
    archive.targets.insert("../x".to_owned(), Vec::new());
    assert_eq!(archive::write_to(&archive, false, &mut untouched).unwrap_err().code(), "archive_bad_name");
    assert!(untouched.is_empty());
}
