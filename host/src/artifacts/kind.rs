//! What an artifact is wanted as, and whether it is that.
//!
//! Decided by its first bytes, before any parser sees it, so that what is something else is called by its name.

use std::fmt;

use artifacts::{Format, check_one_wasm};

use super::FetchError;

/// Largest artifact, bytes. Actors have a bound of their own: [`Kind::max_bytes`].
pub const MAX_ARTIFACT_BYTES: u64 = 256 << 20;

/// Largest actor, bytes: less than what all loads may take, because compiling it takes a while.
const MAX_ACTOR_BYTES: u64 = 128 << 20;

/// What an artifact is wanted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// WebAssembly, with its compiled code or without.
    Actor,
    /// A provider archive.
    Provider,
}

impl Kind {
    /// How large it may be.
    #[must_use]
    pub fn max_bytes(self) -> u64 {
        match self {
            Self::Actor => MAX_ACTOR_BYTES,
            Self::Provider => MAX_ARTIFACT_BYTES,
        }
    }

    /// Whether `bytes` begin like one.
    pub(super) fn check(self, reference: &str, bytes: &[u8]) -> Result<(), FetchError> {
        let found = Format::of(bytes);
        let fits = match self {
            Self::Actor => found.is_wasm(),
            Self::Provider => found.may_be_archive(),
        };
        let reference = || reference.to_owned();
        if !fits {
            return Err(FetchError::WrongKind { reference: reference(), found, wanted: self });
        }
        if matches!(found, Format::Module | Format::Component) {
            check_one_wasm(bytes).map_err(|source| FetchError::NotOneFile { reference: reference(), source })?;
        }
        Ok(())
    }

    /// What to do with a file that is something else.
    pub(super) fn instead_of(self, found: Format) -> &'static str {
        match (self, found) {
            (Self::Provider, found) if found.is_wasm() => "actors are started with `wash start actor`",
            (Self::Provider, found) if found.may_be_program() => "make an archive of it with `wash par create`",
            (Self::Provider, _) => "provider archives are made by `wash par create`",
            (Self::Actor, found) if found.may_be_archive() => {
                "providers are started with `wash start provider`; actors are `.wasm` files"
            }
            (Self::Actor, Format::Wat) => "make it binary and sign it with `wash claims sign`",
            (Self::Actor, Format::BareCode) => "compile it with `wash compile`, or start the `.wasm` it was made from",
            (Self::Actor, _) => "an actor is a WebAssembly file that was signed with `wash claims sign`",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Actor => "an actor",
            Self::Provider => "a provider archive",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_something_else_is_called_by_its_name() {
        let refused = |kind: Kind, bytes: &[u8]| kind.check("/x", bytes).map_err(|error| error.to_string());
        let module = b"\0asm\x01\0\0\0".as_slice();
        assert_eq!(refused(Kind::Actor, module), Ok(()));
        let words = "`/x` is a WebAssembly module, not a provider archive; actors are started with `wash start actor`";
        assert_eq!(refused(Kind::Provider, module), Err(words.to_owned()));
        let shadow = "root:$6$secret:19000:0:99999:7:::\n".repeat(20);
        for kind in [Kind::Actor, Kind::Provider] {
            let text = refused(kind, shadow.as_bytes()).expect_err("a text");
            assert!(text.contains("is a text file, not a") && !text.contains("root"), "{text}");
        }
        let two = [module, module].concat();
        let text = refused(Kind::Actor, &two).expect_err("two files");
        assert!(text.contains("two WebAssembly binaries"), "{text}");
        let newline = [module, b"\n"].concat();
        let text = refused(Kind::Actor, &newline).expect_err("a line break");
        assert!(text.contains("a line break"), "{text}");
    }
}
