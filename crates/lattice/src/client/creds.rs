//! NATS credentials as files hold them: a user JWT and its seed between lines of dashes, or a seed alone.
//!
//! The one reader of the format, for hosts, `wash` and tests, and its one writer. Blank lines, indentation, other line
//! ends and a byte order mark are no part of what a line says. Invariant: what is read is a user seed; an error never has
//! any of it.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
};

use claims::{KeyKind, KeyPair};

/// Largest file that is read as credentials, bytes.
pub const MAX_CREDS_FILE: usize = 64 * 1024;

/// Who to be on a NATS server.
#[derive(Clone, PartialEq, Eq)]
pub struct Creds {
    /// The user JWT; none for a bare key.
    pub jwt: Option<String>,
    /// The user seed.
    pub seed: String,
}

impl fmt::Debug for Creds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Creds").field("jwt", &self.jwt.is_some()).finish_non_exhaustive()
    }
}

/// Why a text, or a file, holds no credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredsError {
    /// Too long.
    #[error("it is larger than 64 KiB")]
    TooLarge,
    /// No seed, or not of a user.
    #[error("it holds no user seed (`SU…`)")]
    Seed,
    /// A device, a pipe, a directory.
    #[error("it is not a regular file")]
    NotAFile,
    /// The file cannot be read, or is no text.
    #[error("it cannot be read")]
    Unreadable(#[from] io::Error),
}

impl CredsError {
    /// Stable word for logs and tests.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "nats_credentials_too_large",
            Self::Seed => "nats_seed_missing",
            Self::NotAFile | Self::Unreadable(_) => "nats_credentials_unreadable",
        }
    }
}

impl Creds {
    /// Reads a file, as far as [`MAX_CREDS_FILE`].
    ///
    /// # Errors
    /// [`CredsError`].
    pub fn read(path: &Path) -> Result<Self, CredsError> {
        // Looked at before it is opened: opening a pipe waits for whoever writes into it.
        if !std::fs::metadata(path)?.is_file() {
            return Err(CredsError::NotAFile);
        }
        let mut text = String::new();
        let most = u64::try_from(MAX_CREDS_FILE).unwrap_or(u64::MAX) + 1;
        File::open(path)?.take(most).read_to_string(&mut text)?;
        Self::parse(&text)
    }

    /// Reads the text of a credentials file, as `nsc generate creds` writes it, or of a file with nothing but a seed.
    ///
    /// # Errors
    /// [`CredsError`].
    pub fn parse(text: &str) -> Result<Self, CredsError> {
        if text.len() > MAX_CREDS_FILE {
            return Err(CredsError::TooLarge);
        }
        let words = || {
            text.trim_start_matches('\u{feff}')
                .split(['\n', '\r'])
                .map(str::trim)
                .filter(|line| !line.is_empty() && !line.starts_with(['-', '*', '#']))
        };
        let is_user_seed = |word: &&str| KeyPair::from_seed(word).is_ok_and(|key| key.kind() == KeyKind::User);
        let seed = words().find(is_user_seed).ok_or(CredsError::Seed)?;
        Ok(Self { jwt: words().find(|word| is_jwt(word)).map(str::to_owned), seed: seed.to_owned() })
    }

    /// The text of a credentials file. A secret.
    #[must_use]
    pub fn to_file(&self) -> String {
        let jwt = self
            .jwt
            .as_deref()
            .map(|jwt| format!("-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"));
        format!(
            "{}# The line below is secret: whoever has it is this user of the NATS server.\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            jwt.unwrap_or_default(),
            self.seed
        )
    }
}

/// Three parts of base64url, the first of them a JSON object.
fn is_jwt(word: &str) -> bool {
    let is_base64 = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'='))
    };
    word.starts_with("ey") && word.split('.').count() == 3 && word.split('.').all(is_base64)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const JWT: &str = "eyJ0.eyJq.c2ln";

    fn user() -> String {
        KeyPair::generate(KeyKind::User).seed().expose().to_owned()
    }

    #[test]
    fn both_forms_of_a_file_are_read() {
        let seed = user();
        assert_eq!(Creds::parse(&format!("{seed}\n")).unwrap(), Creds { jwt: None, seed: seed.clone() });
        let file = format!(
            "-----BEGIN NATS USER JWT-----\n{JWT}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\nNKEY Seed printed below\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        let creds = Creds { jwt: Some(JWT.to_owned()), seed };
        assert_eq!(Creds::parse(&file).unwrap(), creds);
        assert_eq!(Creds::parse(&creds.to_file()).unwrap(), creds, "what is written is read");
    }

    #[test]
    fn blank_and_indented_lines_other_line_ends_and_a_byte_order_mark_say_nothing() {
        let creds = Creds { jwt: Some(JWT.to_owned()), seed: user() };
        let file = creds.to_file();
        for changed in [
            file.replace('\n', "\n\n"),
            file.replace('\n', "\n  \t"),
            file.replace('\n', "\r\n"),
            file.replace('\n', "\r"),
            file.replace('\n', "  \n"),
            format!("\u{feff}{file}"),
            file.replace("-----", "---"),
        ] {
            assert_eq!(Creds::parse(&changed).unwrap(), creds, "{changed:?}");
        }
    }

    #[test]
    fn what_is_none_is_refused_and_never_shown() {
        let host = KeyPair::generate(KeyKind::Server).seed().expose().to_owned();
        for text in ["", "SU123", host.as_str()] {
            assert!(matches!(Creds::parse(text), Err(CredsError::Seed)));
        }
        assert!(matches!(Creds::parse(&"x".repeat(MAX_CREDS_FILE + 1)), Err(CredsError::TooLarge)));
        let user = user();
        assert!(!format!("{:?}", Creds::parse(&user)).contains(&user));
    }

    #[test]
    fn only_regular_files_are_read_and_no_more_of_them_than_the_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big.creds");
        std::fs::write(&path, "x".repeat(MAX_CREDS_FILE * 3)).unwrap();
        assert!(matches!(Creds::read(&path), Err(CredsError::TooLarge)));
        assert!(matches!(Creds::read(dir.path()), Err(CredsError::NotAFile)));
        let link = dir.path().join("zero.creds");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        assert!(matches!(Creds::read(&link), Err(CredsError::NotAFile)));
        assert_eq!(Creds::read(&dir.path().join("absent")).unwrap_err().code(), "nats_credentials_unreadable");
    }
}
