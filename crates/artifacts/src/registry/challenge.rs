//! What a registry wants to see before it answers: `WWW-Authenticate`, read.

use reqwest::Url;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// Longest header looked at, bytes.
const MAX_CHALLENGE: usize = 4 << 10;

/// What is wanted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password.
    Basic,
    /// A token, which is had at `realm`.
    Token { realm: Url, service: Option<String>, scope: Option<String> },
}

/// The challenge to answer: a token where there is a choice. The reason when there is none we can answer.
pub(super) fn read(headers: &HeaderMap) -> Result<Challenge, String> {
    let mut basic = false;
    let mut others = Vec::new();
    for header in headers.get_all(WWW_AUTHENTICATE).iter().take(8) {
        let text = header.to_str().map_err(|_| "its challenge is not text".to_owned())?;
        if text.len() > MAX_CHALLENGE {
            return Err(format!("its challenge is longer than {MAX_CHALLENGE} bytes"));
        }
        let challenges = http_auth::parse_challenges(text).map_err(|_| "its challenge cannot be read".to_owned())?;
        for challenge in challenges {
            if challenge.scheme.eq_ignore_ascii_case("bearer") {
                return token(&challenge);
            }
            basic |= challenge.scheme.eq_ignore_ascii_case("basic");
            others.push(crate::text::excerpt(challenge.scheme));
        }
    }
    match others.as_slice() {
        _ if basic => Ok(Challenge::Basic),
        [] => Err("it answers 401 without saying what it wants".to_owned()),
        others => Err(format!("it wants `{}`", others.join("`, `"))),
    }
}

fn token(challenge: &http_auth::ChallengeRef<'_>) -> Result<Challenge, String> {
    let parameter = |name: &str| {
        let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_unescaped()).filter(|value| !value.is_empty())
    };
    let realm = parameter("realm").ok_or_else(|| "it does not say where tokens are had".to_owned())?;
    let realm =
        Url::parse(&realm).map_err(|_| format!("`{}` is no address for tokens", crate::text::excerpt(&realm)))?;
    Ok(Challenge::Token { realm, service: parameter("service"), scope: parameter("scope") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(values: &[&str]) -> Result<Challenge, String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().expect("a header"));
        }
        read(&headers)
    }

    #[test]
    fn tokens_are_preferred_and_basic_is_understood() {
        assert_eq!(read_all(&["Basic realm=\"x\""]), Ok(Challenge::Basic));
        assert_eq!(read_all(&["Digest realm=\"x\", nonce=\"y\"", "basic realm=\"x\""]), Ok(Challenge::Basic));
        let token = Challenge::Token {
            realm: Url::parse("https://auth.test/token").expect("an address"),
            service: Some("registry.test".to_owned()),
            scope: Some("repository:a/b:pull,push".to_owned()),
        };
        let bearer =
            "Bearer realm=\"https://auth.test/token\",service=\"registry.test\",scope=\"repository:a/b:pull,push\"";
        assert_eq!(read_all(&["Basic realm=\"x\"", bearer]), Ok(token));
    }

    #[test]
    fn what_cannot_be_answered_says_why() {
        let reason = |values: &[&str]| read_all(values).expect_err("cannot be answered");
        assert!(reason(&[]).contains("without saying"));
        assert_eq!(reason(&["Negotiate"]), "it wants `Negotiate`");
        assert!(reason(&["Bearer service=\"x\""]).contains("where tokens are had"));
        assert!(reason(&["Bearer realm=\"/relative\""]).contains("no address"));
        assert!(reason(&["Bearer realm=\"unterminated"]).contains("cannot be read"));
        assert!(reason(&[&format!("Basic realm=\"{}\"", "x".repeat(MAX_CHALLENGE))]).contains("longer than"));
    }
}
