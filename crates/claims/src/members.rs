//! Walking a tar stream that a stranger made, one member at a time.
//!
//! Knows the tar format, not what members mean. The reader of the format is used in its raw mode: in the other one it
//! reads long names and extended headers into memory however long they claim to be. Invariants: what a header says is
//! compared with the bounds before anything is allocated for it; at most [`MAX_EXTENSION`] bytes of what describes a
//! member are ever in memory; no error quotes the stream, which may be any file of this machine.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};

use tar::{EntryType, PaxExtensions};

/// Longest description of a member (long name, extended header), bytes.
pub const MAX_EXTENSION: u64 = 16 << 10;

/// How much of a stream is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the stream, tar headers included.
    pub unpacked_bytes: u64,
    /// Members of the stream.
    pub entries: usize,
}

/// Why a stream cannot be walked.
#[derive(Debug, thiserror::Error)]
pub enum MembersError {
    /// It is no tar stream, ends early, or cannot be read further.
    #[error("the tar stream cannot be read")]
    Unreadable(#[source] io::Error),
    /// It has more bytes than allowed, or a header says so.
    #[error("the tar stream has more than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: u64,
    },
    /// It has too many members.
    #[error("the tar stream has more than {limit} members")]
    TooMany {
        /// The bound.
        limit: usize,
    },
    /// A member of which the stream holds only a part, the rest being zeroes.
    #[error("member {number} of the tar stream is a sparse file")]
    Sparse {
        /// Which, counted from 1.
        number: usize,
    },
}

/// One member.
pub struct Member<'a> {
    /// Which it is, counted from 1; what errors call it by.
    pub number: usize,
    /// Its path as written.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryType,
    /// Its length according to its header, which is within the bounds. The content may turn out to be shorter.
    pub size: u64,
    /// Bytes of the stream before its content.
    pub offset: u64,
    /// Its content. What is not read of it is skipped.
    pub content: &'a mut dyn Read,
}

/// How far a walk came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Walked {
    /// Bytes of the stream.
    pub bytes: u64,
    /// Members.
    pub members: usize,
}

/// Shows every member of `stream` to `visit`, in order.
///
/// # Errors
/// The first error of `visit`; [`MembersError`] when the stream is damaged or goes beyond `limits`.
pub fn walk<E: From<MembersError>>(
    stream: impl Read,
    limits: Limits,
    mut visit: impl FnMut(Member<'_>) -> Result<(), E>,
) -> Result<Walked, E> {
    let seen = Seen { left: Cell::new(limits.unpacked_bytes), exceeded: Cell::new(false), failure: RefCell::default() };
    let walk = Walk { seen: &seen, limits };
    let result = walk.members(Bounded { stream, seen: &seen }, &mut visit);
    // Running into the bound, or a stream that fails, shows up as some error of the tar format; this is the reason.
    if seen.exceeded.get() {
        return Err(walk.too_large().into());
    }
    match seen.failure.take() {
        Some(failure) => Err(MembersError::Unreadable(failure).into()),
        None => result.map(|members| Walked { bytes: walk.offset(), members }),
    }
}

struct Walk<'a> {
    seen: &'a Seen,
    limits: Limits,
}

/// What is known of the next member before its own header.
#[derive(Default)]
struct Described {
    path: Option<Vec<u8>>,
    /// Headers that said something about it.
    by: usize,
}

impl Walk<'_> {
    fn members<E: From<MembersError>>(
        &self,
        stream: impl Read,
        visit: &mut impl FnMut(Member<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut tar = tar::Archive::new(stream);
        let mut number = 1;
        let mut described = Described::default();
        for entry in tar.entries().map_err(|_| damaged(number))?.raw(true) {
            // The words of the library quote the header, which is whatever the stream holds.
            let mut entry = entry.map_err(|_| damaged(number))?;
            let (size, kind) = (entry.size(), entry.header().entry_type());
            if size > self.seen.left.get() {
                return Err(self.too_large().into());
            }
            if is_description(kind) {
                self.describe(&mut described, &mut entry, kind, number)?;
                continue;
            }
            if number > self.limits.entries {
                return Err(MembersError::TooMany { limit: self.limits.entries }.into());
            }
            if kind == EntryType::GNUSparse {
                return Err(MembersError::Sparse { number }.into());
            }
            let path = std::mem::take(&mut described).path.unwrap_or_else(|| entry.path_bytes().into_owned());
            visit(Member { number, path, kind, size, offset: self.offset(), content: &mut entry })?;
            number += 1;
        }
        if described.by > 0 {
            return Err(damaged(number).into());
        }
        Ok(number - 1)
    }

    /// Takes in what an entry says about the member behind it.
    fn describe(
        &self,
        described: &mut Described,
        entry: &mut impl Read,
        kind: EntryType,
        number: usize,
    ) -> Result<(), MembersError> {
        described.by += 1;
        // One of each kind is what writers make.
        if described.by > 4 {
            return Err(damaged(number));
        }
        let mut text = Vec::new();
        entry.take(MAX_EXTENSION + 1).read_to_end(&mut text).map_err(|_| damaged(number))?;
        if text.len() as u64 > MAX_EXTENSION {
            return Err(MembersError::TooLarge { limit: MAX_EXTENSION });
        }
        match kind {
            EntryType::GNULongName => {
                let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
                text.truncate(end);
                described.path = Some(text);
            }
            EntryType::XHeader => described.extend(&text, number)?,
            // Where links lead, and facts about all members: nothing that counts here.
            _ => {}
        }
        Ok(())
    }

    fn offset(&self) -> u64 {
        self.limits.unpacked_bytes - self.seen.left.get()
    }

    fn too_large(&self) -> MembersError {
        MembersError::TooLarge { limit: self.limits.unpacked_bytes }
    }
}

impl Described {
    /// What an extended header says. One that gives another size is refused: it is needed above 8 GiB only.
    fn extend(&mut self, text: &[u8], number: usize) -> Result<(), MembersError> {
        for extension in PaxExtensions::new(text) {
            let extension = extension.map_err(|_| damaged(number))?;
            match extension.key_bytes() {
                b"path" => self.path = Some(extension.value_bytes().to_vec()),
                b"size" => return Err(damaged(number)),
                key if key.starts_with(b"GNU.sparse.") => return Err(MembersError::Sparse { number }),
                _ => {}
            }
        }
        Ok(())
    }
}

fn is_description(kind: EntryType) -> bool {
    matches!(kind, EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader | EntryType::XGlobalHeader)
}

fn damaged(number: usize) -> MembersError {
    let reason = match number {
        1 => "it does not begin as a tar stream does".to_owned(),
        _ => format!("it is damaged or cut short at member {number}"),
    };
    MembersError::Unreadable(io::Error::new(io::ErrorKind::InvalidData, reason))
}

/// What happened to a stream that is read by somebody else.
struct Seen {
    left: Cell<u64>,
    exceeded: Cell<bool>,
    failure: RefCell<Option<io::Error>>,
}

/// Stops a stream at its bound, and remembers that it had more or failed.
struct Bounded<'a, R> {
    stream: R,
    seen: &'a Seen,
}

impl<R: Read> Bounded<'_, R> {
    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.seen.left.get();
        if left == 0 && !buffer.is_empty() {
            // At the bound exactly is still within it.
            let more = self.stream.read(&mut [0])? > 0;
            self.seen.exceeded.set(more);
            return if more { Err(io::Error::other("bound reached")) } else { Ok(0) };
        }
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.stream.read(&mut buffer[..most])?;
        self.seen.left.set(left - count as u64);
        Ok(count)
    }
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.read_some(buffer) {
                // Not every reader of a format reads again where a signal interrupted.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if !self.seen.exceeded.get() => {
                    let told = io::Error::new(error.kind(), "the stream failed");
                    *self.seen.failure.borrow_mut() = Some(error);
                    return Err(told);
                }
                outcome => return outcome,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { unpacked_bytes: 1 << 20, entries: 8 };

    fn entry(kind: EntryType, name: &str, content: &[u8], size: u64) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(size);
        header.set_cksum();
        let mut bytes = [header.as_bytes(), content].concat();
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    fn whole(kind: EntryType, name: &str, content: &[u8]) -> Vec<u8> {
        entry(kind, name, content, content.len() as u64)
    }

    fn paths(stream: &[u8]) -> Result<Vec<String>, MembersError> {
        let mut paths = Vec::new();
        walk(stream, LIMITS, |member| {
            paths.push(String::from_utf8_lossy(&member.path).into_owned());
            Ok::<_, MembersError>(())
        })
        .map(|_| paths)
    }

    #[test]
    fn long_names_and_extended_headers_name_the_member_behind_them() {
        let long = format!("{}/x86_64-linux.bin", "d".repeat(200));
        let stream = [
            whole(EntryType::XGlobalHeader, "pax_global_header", b"13 comment=x\n"),
            whole(EntryType::GNULongName, "././@LongLink", format!("{long}\0").as_bytes()),
            whole(EntryType::Regular, "cut", b"x"),
            whole(EntryType::XHeader, "PaxHeaders/x", b"21 path=claims.jwt.x\n"),
            whole(EntryType::Regular, "short", b"x"),
            whole(EntryType::Regular, "plain", b"x"),
        ]
        .concat();
        assert_eq!(paths(&stream).expect("a stream"), [long, "claims.jwt.x".to_owned(), "plain".to_owned()]);
    }

    #[test]
    fn a_description_is_bounded_before_it_is_read() {
        for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader, EntryType::XGlobalHeader] {
            let stream = [whole(kind, "x", &vec![b'a'; 100_000]), whole(EntryType::Regular, "a", b"")].concat();
            assert!(matches!(paths(&stream), Err(MembersError::TooLarge { limit: MAX_EXTENSION })), "{kind:?}");
            let lying = [entry(kind, "x", b"", 1 << 40), whole(EntryType::Regular, "a", b"")].concat();
            assert!(matches!(paths(&lying), Err(MembersError::TooLarge { limit }) if limit == 1 << 20), "{kind:?}");
            let many = [whole(kind, "x", b"").repeat(9), whole(EntryType::Regular, "a", b"")].concat();
            assert!(matches!(paths(&many), Err(MembersError::Unreadable(_))), "{kind:?}");
        }
        assert!(paths(&whole(EntryType::GNULongName, "x", b"of nobody\0")).is_err());
    }

    #[test]
    fn a_size_beyond_what_may_come_is_refused_on_its_word() {
        let lying = entry(EntryType::Regular, "a", b"x", 1 << 40);
        assert!(matches!(paths(&lying), Err(MembersError::TooLarge { .. })));
        let other_size =
            [whole(EntryType::XHeader, "x", b"19 size=1000000000\n"), whole(EntryType::Regular, "a", b"x")];
        assert!(matches!(paths(&other_size.concat()), Err(MembersError::Unreadable(_))));
        let sparse = [whole(EntryType::XHeader, "x", b"22 GNU.sparse.major=1\n"), whole(EntryType::Regular, "a", b"x")];
        assert!(matches!(paths(&sparse.concat()), Err(MembersError::Sparse { number: 1 })));
    }

    #[test]
    fn errors_do_not_quote_the_stream() {
        let secret = b"root:$6$secret:19000:0:99999:7:::\n".repeat(40);
        for stream in [secret.clone(), [whole(EntryType::Regular, "a", b"x"), secret].concat()] {
            let error = paths(&stream).expect_err("no tar stream");
            let mut shown = format!("{error} {error:?}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                shown.push_str(&format!(" {cause} {cause:?}"));
                source = cause.source();
            }
            assert!(!shown.contains("root") && !shown.contains("secret"), "{shown}");
        }
    }
}
