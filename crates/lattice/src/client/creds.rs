//! NATS credentials as files hold them: a user JWT and its seed between lines of dashes, or a seed alone.
//!
//! Pure. Invariant: what is read is a user seed; an error never has any of it.

use std::fmt;

use claims::{KeyKind, KeyPair};

/// Largest file that is read as credentials, bytes.
const MOST: usize = 64 * 1024;

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

/// Why a text holds no credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredsError {
    /// Too long.
    #[error("it is larger than 64 KiB")]
    TooLarge,
    /// No seed, or not of a user.
    #[error("it holds no user seed (`SU…`)")]
    Seed,
}

impl CredsError {
    /// Stable word for logs and tests.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "nats_credentials_too_large",
            Self::Seed => "nats_seed_missing",
        }
    }
}

impl Creds {
    /// Reads the text of a credentials file, as `nsc generate creds` writes it, or of a file with nothing but a seed.
    ///
    /// # Errors
    /// [`CredsError`].
    pub fn parse(text: &str) -> Result<Self, CredsError> {
        if text.len() > MOST {
            return Err(CredsError::TooLarge);
        }
        let words =
            || text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['-', '*', '#']));
        let is_user_seed = |word: &&str| KeyPair::from_seed(word).is_ok_and(|key| key.kind() == KeyKind::User);
        let seed = words().find(is_user_seed).ok_or(CredsError::Seed)?;
        let jwt = words().find(|word| word.split('.').count() == 3 && word.starts_with("ey"));
        Ok(Self { jwt: jwt.map(str::to_owned), seed: seed.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_file_are_read() {
        let seed = KeyPair::generate(KeyKind::User).seed().expose().to_owned();
        assert_eq!(Creds::parse(&format!("{seed}\n")), Ok(Creds { jwt: None, seed: seed.clone() }));
        let file = format!(
            "-----BEGIN NATS USER JWT-----\neyJ0.eyJq.c2ln\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\nNKEY Seed printed below\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        assert_eq!(Creds::parse(&file), Ok(Creds { jwt: Some("eyJ0.eyJq.c2ln".to_owned()), seed }));
    }

    #[test]
    fn what_is_none_is_refused_and_never_shown() {
        let host = KeyPair::generate(KeyKind::Server).seed().expose().to_owned();
        for text in ["", "SU123", host.as_str()] {
            assert_eq!(Creds::parse(text), Err(CredsError::Seed));
        }
        assert_eq!(Creds::parse(&"x".repeat(MOST + 1)), Err(CredsError::TooLarge));
        let user = KeyPair::generate(KeyKind::User).seed().expose().to_owned();
        assert!(!format!("{:?}", Creds::parse(&user)).contains(&user));
    }
}
