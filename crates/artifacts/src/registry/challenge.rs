//! What a registry wants to see before it answers: `WWW-Authenticate`, read.
//!
//! One header may hold several challenges, and commas separate them as well as their parameters; they are told apart here,
//! and each is read by the library, so that one it cannot read (it knows no `token68`) does not hide the others. Takes any
//! bytes. Invariant: what is returned can be answered, and comes in the order in which it is worth trying.

use reqwest::Url;

/// Longest header looked at, bytes.
const MAX_CHALLENGE: usize = 4 << 10;
/// Headers looked at.
const MAX_HEADERS: usize = 8;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// A token, which is had at `realm`.
    Token {
        /// Where tokens are had.
        realm: Url,
        /// What the token service calls the registry.
        service: Option<String>,
        /// What the token is to be for.
        scope: Option<String>,
    },
    /// User and password.
    Basic,
}

/// Why no challenge can be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    /// There is none.
    #[error("it answers 401 without saying what it wants")]
    Missing,
    /// Longer than any real one.
    #[error("its challenge is longer than {limit} bytes")]
    TooLong {
        /// The bound.
        limit: usize,
    },
    /// Against the grammar (RFC 9110, section 11).
    #[error("its challenge cannot be read")]
    Unreadable,
    /// Ways nobody here knows.
    #[error("it wants `{}`", .schemes.join("`, `"))]
    Unsupported {
        /// Their names.
        schemes: Vec<String>,
    },
    /// A token from nowhere.
    #[error("it does not say where tokens are had")]
    NoRealm,
    /// A token from a place that is no address.
    #[error("`{realm}` is no address for tokens")]
    BadRealm {
        /// The place.
        realm: String,
    },
}

/// The challenges that can be answered, in the values of `WWW-Authenticate`: a token first, because it is worth less than a
/// password to whoever gets hold of it.
///
/// # Errors
/// [`ChallengeError`] when there are none.
pub fn read<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Challenge>, ChallengeError> {
    let mut found = Vec::new();
    let mut schemes = Vec::new();
    let mut reason = None;
    for value in values.into_iter().take(MAX_HEADERS) {
        if value.len() > MAX_CHALLENGE {
            reason.get_or_insert(ChallengeError::TooLong { limit: MAX_CHALLENGE });
            continue;
        }
        // Other characters may stand in quotes, where they are for people.
        let text: String = value.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' }).collect();
        for challenge in split(&text) {
            match one(&challenge) {
                Ok(Some(challenge)) if !found.contains(&challenge) => found.push(challenge),
                Ok(Some(_)) => {}
                Ok(None) => schemes.push(crate::text::excerpt(scheme(&challenge))),
                Err(error) => drop(reason.get_or_insert(error)),
            }
        }
    }
    found.sort_by_key(|challenge| matches!(challenge, Challenge::Basic));
    match (found.is_empty(), reason) {
        (false, _) => Ok(found),
        (true, Some(reason)) => Err(reason),
        (true, None) if schemes.is_empty() => Err(ChallengeError::Missing),
        (true, None) => Err(ChallengeError::Unsupported { schemes }),
    }
}

/// One challenge; none of a kind nobody here knows.
fn one(text: &str) -> Result<Option<Challenge>, ChallengeError> {
    let (is_bearer, is_basic) =
        (scheme(text).eq_ignore_ascii_case("bearer"), scheme(text).eq_ignore_ascii_case("basic"));
    if !is_bearer && !is_basic {
        return Ok(None);
    }
    let parsed = http_auth::parse_challenges(text).map_err(|_| ChallengeError::Unreadable)?;
    let challenge = parsed.first().ok_or(ChallengeError::Unreadable)?;
    if is_bearer { token(challenge).map(Some) } else { Ok(Some(Challenge::Basic)) }
}

fn token(challenge: &http_auth::ChallengeRef<'_>) -> Result<Challenge, ChallengeError> {
    let parameter = |name: &str| {
        let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_unescaped()).filter(|value| !value.is_empty())
    };
    let realm = parameter("realm").ok_or(ChallengeError::NoRealm)?;
    let realm = Url::parse(&realm).map_err(|_| ChallengeError::BadRealm { realm: crate::text::excerpt(&realm) })?;
    Ok(Challenge::Token { realm, service: parameter("service"), scope: parameter("scope") })
}

/// The challenges of one header, each with one space behind its scheme, as the library wants it.
fn split(text: &str) -> Vec<String> {
    let mut challenges: Vec<String> = Vec::new();
    for item in items(text) {
        match challenges.last_mut() {
            Some(last) if is_parameter(item) => {
                last.push_str(", ");
                last.push_str(item);
            }
            _ => {
                let (scheme, rest) = item.split_at(scheme(item).len());
                let space = if rest.trim().is_empty() { "" } else { " " };
                challenges.push(format!("{scheme}{space}{}", rest.trim()));
            }
        }
    }
    challenges
}

/// What stands between the commas that are outside of quotes; nothing is left out.
fn items(text: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let separates = c == ',' && !quoted;
        (quoted, escaped) = match c {
            _ if escaped => (quoted, false),
            '\\' if quoted => (quoted, true),
            '"' => (!quoted, false),
            _ => (quoted, false),
        };
        separates
    })
    .map(|item| item.trim_matches([' ', '\t']))
    .filter(|item| !item.is_empty())
}

/// Whether this belongs to the challenge before it: a name, and an equals sign with or without space before it.
fn is_parameter(item: &str) -> bool {
    item[scheme(item).len()..].trim_start_matches([' ', '\t']).starts_with('=')
}

/// The word in front.
fn scheme(text: &str) -> &str {
    let ends = |c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c));
    &text[..text.find(ends).unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(values: &[&str]) -> Result<Vec<Challenge>, ChallengeError> {
        read(values.iter().map(|value| value.as_bytes()))
    }

    fn token(scope: Option<&str>) -> Challenge {
        Challenge::Token {
            realm: Url::parse("https://auth.test/token").expect("an address"),
            service: Some("registry.test".to_owned()),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn tokens_are_tried_before_passwords() {
        assert_eq!(read_all(&["Basic realm=\"x\""]), Ok(vec![Challenge::Basic]));
        assert_eq!(read_all(&["Basic"]), Ok(vec![Challenge::Basic]));
        assert_eq!(read_all(&["Digest realm=\"x\", nonce=\"y\"", "basic realm=\"x\""]), Ok(vec![Challenge::Basic]));
        let bearer =
            "Bearer realm=\"https://auth.test/token\",service=\"registry.test\",scope=\"repository:a/b:pull,push\"";
        let both = vec![token(Some("repository:a/b:pull,push")), Challenge::Basic];
        assert_eq!(read_all(&["Basic realm=\"x\"", bearer]), Ok(both.clone()));
        assert_eq!(read_all(&[&format!("Basic realm=\"x\", {bearer}")]), Ok(both.clone()));
        assert_eq!(read_all(&[&format!("{bearer}, Basic realm=\"x\"")]), Ok(both));
    }

    #[test]
    fn every_form_of_the_grammar_is_read() {
        for text in [
            "Bearer realm=\"https://auth.test/token\",service=\"registry.test\"",
            "Bearer realm = \"https://auth.test/token\" , service = \"registry.test\"",
            "bearer   realm=\"https://auth.test/token\",\tservice=\"registry.test\"",
            "BEARER Realm\t=\t\"https://auth.test/token\", SERVICE=registry.test",
            ", ,Bearer realm=\"https://auth.test/token\",, service=registry.test,",
            "Bearer service=\"registry.test\", realm=\"https:\\/\\/auth.test/token\"",
            "Negotiate YWJj==, Bearer realm=\"https://auth.test/token\", service=\"registry.test\"",
            "Negotiate, NTLM, Bearer realm=\"https://auth.test/token\", service=\"registry.test\"",
            "Digest realm=\"a, b\", nonce=\"\\\"Bearer x=\", Bearer realm=\"https://auth.test/token\", service=registry.test",
        ] {
            assert_eq!(read_all(&[text]), Ok(vec![token(None)]), "{text}");
        }
        assert_eq!(read([&b"Basic realm=\"R\xE9gistre\""[..]]), Ok(vec![Challenge::Basic]));
    }

    #[test]
    fn what_cannot_be_answered_says_why() {
        let reason = |values: &[&str]| read_all(values).expect_err("cannot be answered");
        assert_eq!(reason(&[]), ChallengeError::Missing);
        assert_eq!(reason(&[" , "]), ChallengeError::Missing);
        assert_eq!(reason(&["Negotiate"]).to_string(), "it wants `Negotiate`");
        assert_eq!(reason(&["Bearer service=\"x\""]), ChallengeError::NoRealm);
        assert!(matches!(reason(&["Bearer realm=\"/relative\""]), ChallengeError::BadRealm { .. }));
        assert_eq!(reason(&["Bearer realm=\"unterminated"]), ChallengeError::Unreadable);
        let long = format!("Basic realm=\"{}\"", "x".repeat(MAX_CHALLENGE));
        assert_eq!(reason(&[&long]), ChallengeError::TooLong { limit: MAX_CHALLENGE });
        assert_eq!(read_all(&[&long, "Basic realm=x"]), Ok(vec![Challenge::Basic]), "another one can be read");
    }
}
