//! What was seen, in a file: written as it comes by a thread of its own, read when the process starts.
//!
//! Records of 24 bytes, big-endian: when it was issued, who signed, what it is; with the highest bit of the time set, a
//! floor, below which nothing of that sender is accepted. Knows no tokens. Invariants: no call waits for the disk; the
//! file is bounded, because it is written anew from the memory when it has grown; what ends in the middle is not read.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use super::memory::{Memory, Noted};

const MAGIC: &[u8; 8] = b"LSEEN 1\n";
const RECORD: usize = 24;
const FLOOR: u64 = 1 << 63;
/// Records that wait for the disk; further ones are not kept.
const WAITING: usize = 1 << 16;
/// Records after which the file is written anew, unless the memory is larger.
const REWRITE_AFTER: usize = 1 << 19;
/// Records that are read at most: the memory holds no more.
const MAX_RECORDS: u64 = 4 << 20;

type Record = [u8; RECORD];

/// The file of a memory.
pub struct Journal {
    records: Option<SyncSender<Record>>,
    writer: Option<JoinHandle<()>>,
    lost: AtomicBool,
}

impl Journal {
    /// Puts what the file holds into the memory, and keeps there what is noted from now on.
    pub fn open(path: &Path, memory: &Arc<Mutex<Memory>>, now: u64) -> io::Result<Self> {
        read(path, &mut memory.lock().unwrap_or_else(PoisonError::into_inner), now)?;
        let file = rewrite(path, memory)?;
        let (records, incoming) = sync_channel(WAITING);
        let writer = Writer { path: path.to_owned(), memory: memory.clone(), file, appended: 0 };
        let writer = std::thread::Builder::new().name("seen".to_owned()).spawn(move || writer.run(&incoming))?;
        Ok(Self { records: Some(records), writer: Some(writer), lost: AtomicBool::new(false) })
    }

    /// Keeps what was noted.
    pub fn noted(&self, noted: Noted) {
        self.keep(record(noted.issued_at & !FLOOR, noted.sender, noted.id));
    }

    /// Keeps that nothing of a sender is accepted below this.
    pub fn raised(&self, sender: u64, floor: u64) {
        self.keep(record(floor | FLOOR, sender, 0));
    }

    fn keep(&self, record: Record) {
        let taken = self.records.as_ref().is_some_and(|records| records.try_send(record).is_ok());
        if !taken && !self.lost.swap(true, Ordering::Relaxed) {
            tracing::warn!("the disk is slower than invocations come; not all that was seen is kept over a restart");
        }
    }
}

impl Drop for Journal {
    /// What waits is written.
    fn drop(&mut self) {
        self.records = None;
        if let Some(writer) = self.writer.take() {
            writer.join().ok();
        }
    }
}

struct Writer {
    path: PathBuf,
    memory: Arc<Mutex<Memory>>,
    file: File,
    appended: usize,
}

impl Writer {
    fn run(mut self, incoming: &Receiver<Record>) {
        let mut bytes = Vec::new();
        let mut failing = false;
        while let Ok(first) = incoming.recv() {
            bytes.clear();
            bytes.extend_from_slice(&first);
            bytes.extend(incoming.try_iter().take(WAITING).flatten());
            let failed = self.append(&bytes);
            if let Err(error) = &failed
                && !failing
            {
                tracing::warn!(%error, file = %self.path.display(), "cannot keep which invocations were seen");
            }
            failing = failed.is_err();
        }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.appended += bytes.len() / RECORD;
        if self.appended >= REWRITE_AFTER {
            self.file = rewrite(&self.path, &self.memory)?;
            self.appended = 0;
        }
        Ok(())
    }
}

fn record(time: u64, sender: u64, id: u64) -> Record {
    let mut record = [0; RECORD];
    for (part, number) in record.chunks_exact_mut(8).zip([time, sender, id]) {
        part.copy_from_slice(&number.to_be_bytes());
    }
    record
}

/// Puts what a file holds into a memory. One that is missing, or of another format, holds nothing.
fn read(path: &Path, memory: &mut Memory, now: u64) -> io::Result<()> {
    let file = match File::open(path) {
        Ok(file) if file.metadata()?.is_file() => file,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut file = BufReader::new(file).take(MAGIC.len() as u64 + MAX_RECORDS * RECORD as u64);
    let mut magic = [0; MAGIC.len()];
    if file.read_exact(&mut magic).is_err() || magic != *MAGIC {
        return Ok(());
    }
    let mut record = [0; RECORD];
    while file.read_exact(&mut record).is_ok() {
        let [time, sender, id] = [0, 8, 16].map(|at| {
            let bytes: [u8; 8] = record[at..at + 8].try_into().expect("eight bytes");
            u64::from_be_bytes(bytes)
        });
        if time & FLOOR == 0 {
            let _ = memory.note(Noted { sender, issued_at: time, id }, now); // too old ones are not needed
        } else {
            memory.raise(sender, time & !FLOOR);
        }
    }
    memory.take_raised();
    Ok(())
}

/// Writes the file anew with what is remembered, open for what follows.
fn rewrite(path: &Path, memory: &Mutex<Memory>) -> io::Result<File> {
    let (floors, all) = memory.lock().unwrap_or_else(PoisonError::into_inner).all();
    let fresh = path.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    let mut writer = io::BufWriter::new(file);
    writer.write_all(MAGIC)?;
    for (sender, floor) in floors {
        writer.write_all(&record(floor | FLOOR, sender, 0))?;
    }
    for noted in all {
        writer.write_all(&record(noted.issued_at, noted.sender, noted.id))?;
    }
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    fs::rename(&fresh, path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::{
        super::memory::{MemoryBounds, Seen},
        *,
    };

    const NOW: u64 = 1_800_000_000;

    fn memory() -> Arc<Mutex<Memory>> {
        Arc::new(Mutex::new(Memory::new(MemoryBounds { of_one: 1000, of_all: 1000, window: 5400 })))
    }

    fn noted(id: u64) -> Noted {
        Noted { sender: 1, issued_at: NOW, id }
    }

    #[test]
    fn what_is_noted_is_there_after_a_restart_also_when_the_file_was_cut() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("seen");
        let journal = Journal::open(&path, &memory(), NOW).unwrap();
        (0..100).for_each(|id| journal.noted(noted(id)));
        journal.raised(2, NOW);
        drop(journal);
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(file.metadata().unwrap().len() - 5).unwrap();
        let again = memory();
        drop(Journal::open(&path, &again, NOW).unwrap());
        let mut again = again.lock().unwrap();
        assert!((0..100).all(|id| again.note(noted(id), NOW) == Seen::Before));
        assert_eq!(again.note(noted(100), NOW), Seen::First);
        assert_eq!(fs::metadata(&path).unwrap().len(), 8 + 100 * 24, "the cut record, the floor, is gone");
    }

    #[test]
    fn floors_are_kept_and_other_files_are_written_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("seen");
        fs::write(&path, "something else").unwrap();
        let journal = Journal::open(&path, &memory(), NOW).unwrap();
        journal.raised(1, NOW + 1);
        drop(journal);
        let again = memory();
        drop(Journal::open(&path, &again, NOW).unwrap());
        assert_eq!(again.lock().unwrap().note(noted(1), NOW), Seen::Forgotten);
    }

    #[test]
    fn the_file_does_not_grow_without_bound() {
        let directory = tempfile::tempdir().unwrap();
        let (path, memory) = (directory.path().join("seen"), memory());
        let file = rewrite(&path, &memory).unwrap();
        let mut writer = Writer { path: path.clone(), memory, file, appended: 0 };
        for _ in 0..20 {
            writer.append(&[1; RECORD].repeat(REWRITE_AFTER / 8)).unwrap();
            assert!(fs::metadata(&path).unwrap().len() <= (REWRITE_AFTER * RECORD) as u64 + 8);
        }
    }
}
