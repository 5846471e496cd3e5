//! What some bytes are, told by their beginning, before anybody parses them.
//!
//! Names formats for people and for those who decide whether a parser is worth asking. Knows nothing of claims. Invariant:
//! what is said here about some bytes names their format and never quotes them.

use std::fmt;

/// Bytes that are looked at to tell text from anything else.
const HEAD: usize = 512;
const WASM_MAGIC: &[u8] = b"\0asm";
/// What `wash compile` writes begins so (crate `runtime`).
const PRECOMPILED_MAGIC: &[u8] = b"\0cwasm";
/// The system by which wasmtime marks its compiled code in ELF.
const ELF_WASMTIME: u8 = 200;

/// The format of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// No bytes at all.
    Empty,
    /// A core module.
    Module,
    /// A component.
    Component,
    /// WebAssembly of a version nobody here knows.
    OtherWasm,
    /// WebAssembly together with its code, as `wash compile` writes it.
    Precompiled,
    /// Code that wasmtime compiled, without the WebAssembly it was made from.
    BareCode,
    /// Something gzipped, such as a provider archive.
    Gzip,
    /// A tar stream, such as a provider archive.
    Tar,
    /// A program or library for Linux and most of its relatives.
    Elf,
    /// A program or library for macOS.
    MachO,
    /// A program or library for Windows.
    Pe,
    /// A text that names its interpreter.
    Script,
    /// A zip archive.
    Zip,
    /// The text form of WebAssembly.
    Wat,
    /// Any other text.
    Text,
    /// Anything else.
    Unknown,
}

impl Format {
    /// The format of `bytes`. The first [`Format::HEAD`] bytes are enough.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let starts = |magic: &[u8]| bytes.starts_with(magic);
        match bytes {
            [] => Self::Empty,
            _ if starts(WASM_MAGIC) => wasm_layer(bytes),
            _ if starts(PRECOMPILED_MAGIC) => Self::Precompiled,
            _ if starts(b"\x7FELF") && bytes.get(7) == Some(&ELF_WASMTIME) => Self::BareCode,
            _ if starts(b"\x7FELF") => Self::Elf,
            _ if starts(&[0x1F, 0x8B]) => Self::Gzip,
            _ if starts(b"PK\x03\x04") => Self::Zip,
            _ if MACH_O.iter().any(|magic| starts(magic)) => Self::MachO,
            _ if is_pe(bytes) => Self::Pe,
            _ if is_tar(bytes) => Self::Tar,
            _ if starts(b"#!") => Self::Script,
            _ => text(bytes),
        }
    }

    /// Bytes that [`Format::of`] looks at, at most.
    pub const HEAD: usize = HEAD;

    /// Whether it is WebAssembly, compiled or not, that a host may run as an actor.
    #[must_use]
    pub fn is_wasm(self) -> bool {
        matches!(self, Self::Module | Self::Component | Self::Precompiled)
    }

    /// Whether it may be a provider archive.
    #[must_use]
    pub fn may_be_archive(self) -> bool {
        matches!(self, Self::Gzip | Self::Tar)
    }

    /// Whether an operating system may run it.
    #[must_use]
    pub fn may_be_program(self) -> bool {
        matches!(self, Self::Elf | Self::MachO | Self::Pe | Self::Script)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "an empty file",
            Self::Module => "a WebAssembly module",
            Self::Component => "a WebAssembly component",
            Self::OtherWasm => "WebAssembly of an unknown version",
            Self::Precompiled => "WebAssembly with its compiled code",
            Self::BareCode => "compiled code without the WebAssembly it was made from",
            Self::Gzip => "a gzipped file",
            Self::Tar => "a tar archive",
            Self::Elf => "an ELF program or library",
            Self::MachO => "a Mach-O program or library",
            Self::Pe => "a Windows program or library",
            Self::Script => "a script",
            Self::Zip => "a zip archive",
            Self::Wat => "WebAssembly in text form",
            Self::Text => "a text file",
            Self::Unknown => "a file of an unknown format",
        })
    }
}

const MACH_O: [&[u8]; 5] =
    [b"\xCF\xFA\xED\xFE", b"\xCE\xFA\xED\xFE", b"\xFE\xED\xFA\xCF", b"\xFE\xED\xFA\xCE", b"\xCA\xFE\xBA\xBE"];

fn wasm_layer(bytes: &[u8]) -> Format {
    match claims::wasm::layer(bytes) {
        Ok(claims::wasm::Layer::Module) => Format::Module,
        Ok(claims::wasm::Layer::Component) => Format::Component,
        Err(_) => Format::OtherWasm,
    }
}

fn is_pe(bytes: &[u8]) -> bool {
    bytes.starts_with(b"MZ") && pe_header(bytes).is_none_or(|header| header.starts_with(b"PE\0\0"))
}

/// What follows the part for DOS, if it is among the bytes that are there.
fn pe_header(bytes: &[u8]) -> Option<&[u8]> {
    let at = u32::from_le_bytes(*bytes.get(0x3C..0x40)?.first_chunk()?);
    bytes.get(usize::try_from(at).ok()?..).filter(|rest| rest.len() >= 6)
}

/// By the mark of newer headers, or by the checksum that all have.
fn is_tar(bytes: &[u8]) -> bool {
    let Some(header) = bytes.get(..512) else { return false };
    let sum: u32 = header[..148].iter().chain(&header[156..]).map(|byte| u32::from(*byte)).sum::<u32>() + 8 * 32;
    let written = header[148..156].iter().skip_while(|byte| **byte == b' ');
    let written: Vec<u8> = written.copied().take_while(u8::is_ascii_digit).collect();
    let written = std::str::from_utf8(&written).ok().and_then(|digits| u32::from_str_radix(digits, 8).ok());
    header[257..262] == *b"ustar" || written == Some(sum)
}

fn text(bytes: &[u8]) -> Format {
    let head = &bytes[..bytes.len().min(HEAD)];
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // Cut in the middle of a character.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return Format::Unknown,
    };
    if text.is_empty() || text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\x0C')) {
        return Format::Unknown;
    }
    let start = text.trim_start_matches('\u{FEFF}').trim_start();
    let is_wat = ["(module", "(component"].iter().any(|form| start.starts_with(form));
    if is_wat { Format::Wat } else { Format::Text }
}

/// What is wrong with a WebAssembly file as a file, whatever is in its sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WasmFileFault {
    /// One file behind another.
    #[error("it holds two WebAssembly binaries, one behind the other: the second begins at byte {at}")]
    TwoBinaries {
        /// Where the second begins.
        at: usize,
    },
    /// Text behind the last section.
    #[error("it ends at byte {at}, but {bytes} more bytes of blank text follow, such as a line break")]
    BlankEnd {
        /// Where it ends.
        at: usize,
        /// What follows.
        bytes: usize,
    },
}

/// Whether `wasm` is one binary with nothing behind it. Everything else that may be wrong is for parsers to say.
///
/// # Errors
/// [`WasmFileFault`].
pub fn check_one_wasm(wasm: &[u8]) -> Result<(), WasmFileFault> {
    let mut at = 8;
    while let Some(rest) = wasm.get(at..).filter(|rest| !rest.is_empty()) {
        // Neither can be the beginning of a section: its length would go on behind its end.
        if rest.starts_with(WASM_MAGIC) {
            return Err(WasmFileFault::TwoBinaries { at });
        }
        if rest.iter().all(u8::is_ascii_whitespace) {
            return Err(WasmFileFault::BlankEnd { at, bytes: rest.len() });
        }
        let Some(next) = section_end(wasm, at) else { return Ok(()) };
        at = next;
    }
    Ok(())
}

/// Where the section at `at` ends, if it has a length that can be one.
fn section_end(wasm: &[u8], at: usize) -> Option<usize> {
    let mut length = 0usize;
    for (index, byte) in wasm.get(at + 1..)?.iter().take(5).enumerate() {
        length |= usize::from(byte & 0x7F).checked_shl(7 * u32::try_from(index).ok()?)?;
        if byte & 0x80 == 0 {
            return (at + 2 + index).checked_add(length);
        }
    }
    None
}

/// Why some bytes are no program for a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAProgram {
    /// Nothing a system runs.
    #[error("it is {found}")]
    Format {
        /// What it is.
        found: Format,
    },
    /// Something a system links, or loads, but does not run.
    #[error("it is a library or an object file, not a program")]
    Library,
    /// A program for another machine.
    #[error("it is a program for `{found}`")]
    OtherTarget {
        /// Which, as far as it says.
        found: String,
    },
}

/// Whether `bytes` are a program for `target`, which is written as in provider archives, `x86_64-linux`. Scripts that name
/// their interpreter are programs wherever there is such a thing; what a target is called that nobody here knows is not
/// compared.
///
/// # Errors
/// [`NotAProgram`].
pub fn check_program(bytes: &[u8], target: &str) -> Result<(), NotAProgram> {
    let (arch, os) = target.split_once('-').unwrap_or((target, ""));
    let format = Format::of(bytes);
    let (found_arch, fits_os, os_shown) = match format {
        Format::Script if os != "windows" => return Ok(()),
        Format::Elf => (elf_arch(bytes)?, !matches!(os, "macos" | "ios" | "windows"), "linux"),
        Format::MachO => (mach_o_arch(bytes), matches!(os, "macos" | "ios"), "macos"),
        Format::Pe => (pe_arch(bytes), os == "windows", "windows"),
        found => return Err(NotAProgram::Format { found }),
    };
    let fits_arch = found_arch.is_none_or(|found| found == arch || !ARCHITECTURES.contains(&arch));
    if fits_os && fits_arch {
        return Ok(());
    }
    let shown_os = if fits_os { os } else { os_shown };
    Err(NotAProgram::OtherTarget { found: format!("{}-{shown_os}", found_arch.unwrap_or("unknown")) })
}

/// Architectures in the words of Rust, which are those of provider archives.
const ARCHITECTURES: [&str; 8] = ["x86_64", "aarch64", "x86", "arm", "riscv64", "s390x", "powerpc64", "loongarch64"];

fn elf_arch(bytes: &[u8]) -> Result<Option<&'static str>, NotAProgram> {
    let little = bytes.get(5) != Some(&2);
    let half = |at: usize| {
        let bytes = *bytes.get(at..at + 2)?.first_chunk::<2>()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let entry = match bytes.get(4) {
        Some(2) => bytes.get(24..32),
        _ => bytes.get(24..28),
    };
    // A library has no entry, a program has one; position-independent programs are marked as libraries are.
    match half(16) {
        Some(2) => {}
        Some(3) if entry.is_some_and(|entry| entry.iter().any(|byte| *byte != 0)) => {}
        _ => return Err(NotAProgram::Library),
    }
    Ok(match half(18) {
        Some(62) => Some("x86_64"),
        Some(183) => Some("aarch64"),
        Some(3) => Some("x86"),
        Some(40) => Some("arm"),
        Some(243) => Some("riscv64"),
        Some(22) => Some("s390x"),
        Some(21) => Some("powerpc64"),
        Some(258) => Some("loongarch64"),
        _ => None,
    })
}

fn mach_o_arch(bytes: &[u8]) -> Option<&'static str> {
    let cpu = match bytes.first_chunk::<8>()? {
        [0xCF | 0xCE, 0xFA, 0xED, 0xFE, cpu @ ..] => u32::from_le_bytes(*cpu),
        _ => return None,
    };
    match cpu {
        0x0100_0007 => Some("x86_64"),
        0x0100_000C => Some("aarch64"),
        _ => None,
    }
}

fn pe_arch(bytes: &[u8]) -> Option<&'static str> {
    match u16::from_le_bytes(*pe_header(bytes)?.get(4..6)?.first_chunk()?) {
        0x8664 => Some("x86_64"),
        0xAA64 => Some("aarch64"),
        0x014C => Some("x86"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(kind: u8, machine: u8, entry: u8) -> Vec<u8> {
        let mut bytes = b"\x7FELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        (bytes[16], bytes[18], bytes[24]) = (kind, machine, entry);
        bytes
    }

    #[test]
    fn formats_are_told_by_their_beginning() {
        let mut tar = tar::Builder::new(Vec::new());
        let mut old = tar::Header::new_old();
        old.set_size(0);
        old.set_cksum();
        tar.append(&old, &b""[..]).expect("written");
        let tar = tar.into_inner().expect("written");
        let cases: [(&[u8], Format); 18] = [
            (b"", Format::Empty),
            (b"\0asm\x01\0\0\0", Format::Module),
            (b"\0asm\x0d\0\x01\0\0", Format::Component),
            (b"\0asm", Format::OtherWasm),
            (b"\0cwasm\x01\n12345678", Format::Precompiled),
            (b"\x7FELF\x02\x01\x01\xC8", Format::BareCode),
            (b"\x7FELF\x02\x01\x01\0", Format::Elf),
            (b"\x1F\x8B\x08", Format::Gzip),
            (&tar, Format::Tar),
            (b"#!/bin/sh\n", Format::Script),
            (b"PK\x03\x04", Format::Zip),
            (b"\xCF\xFA\xED\xFE", Format::MachO),
            (b"(module)", Format::Wat),
            (b" (component $x)", Format::Wat),
            ("# Häuser\n".as_bytes(), Format::Text),
            (b"\xFF\xFE\0", Format::Unknown),
            (b"a\0b", Format::Unknown),
            (&[0; 1024], Format::Unknown),
        ];
        for (bytes, format) in cases {
            assert_eq!(Format::of(bytes), format, "{bytes:?}");
        }
        let cut = "ä".repeat(400);
        assert_eq!(Format::of(&cut.as_bytes()[..HEAD + 1]), Format::Text);
    }

    #[test]
    fn one_file_is_one_binary() {
        let one = b"\0asm\x01\0\0\0\x00\x02\x01x".to_vec();
        assert_eq!(check_one_wasm(&one), Ok(()));
        let two = [one.clone(), one.clone()].concat();
        assert_eq!(check_one_wasm(&two), Err(WasmFileFault::TwoBinaries { at: 12 }));
        let newline = [&one[..], b"\r\n"].concat();
        assert_eq!(check_one_wasm(&newline), Err(WasmFileFault::BlankEnd { at: 12, bytes: 2 }));
        for broken in [&b""[..], b"\0asm", b"\0asm\x01\0\0\0\x00\xFF", b"\0asm\x01\0\0\0\x00\xFF\xFF\xFF\xFF\xFF\xFF"] {
            assert_eq!(check_one_wasm(broken), Ok(()), "{broken:?}: for a parser to say");
        }
    }

    #[test]
    fn a_program_is_one_for_the_target() {
        let amd64 = elf(2, 62, 1);
        assert_eq!(check_program(&amd64, "x86_64-linux"), Ok(()));
        assert_eq!(check_program(&elf(3, 62, 1), "x86_64-linux"), Ok(()), "position independent");
        assert_eq!(check_program(&amd64, "x86_64-freebsd"), Ok(()));
        assert_eq!(check_program(b"#!/bin/sh\n", "aarch64-linux"), Ok(()));
        assert_eq!(check_program(&elf(3, 62, 0), "x86_64-linux"), Err(NotAProgram::Library));
        assert_eq!(check_program(&elf(1, 62, 0), "x86_64-linux"), Err(NotAProgram::Library));
        let other = |found: &str| Err(NotAProgram::OtherTarget { found: found.to_owned() });
        assert_eq!(check_program(&amd64, "aarch64-linux"), other("x86_64-linux"));
        assert_eq!(check_program(&amd64, "x86_64-macos"), other("x86_64-linux"));
        assert_eq!(check_program(&amd64, "mips-linux"), Ok(()), "an architecture that is not known here");
        let mac = b"\xCF\xFA\xED\xFE\x0C\0\0\x01";
        assert_eq!(check_program(mac, "aarch64-macos"), Ok(()));
        assert_eq!(check_program(mac, "x86_64-macos"), other("aarch64-macos"));
        assert_eq!(check_program(mac, "x86_64-linux"), other("aarch64-macos"));
        let found = Format::Text;
        assert_eq!(check_program(b"# Title\n", "x86_64-linux"), Err(NotAProgram::Format { found }));
        let found = Format::Script;
        assert_eq!(check_program(b"#!/bin/sh\n", "x86_64-windows"), Err(NotAProgram::Format { found }));
    }
}
