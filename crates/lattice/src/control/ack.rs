//! The generic answer: accepted or not, and why not.
//!
//! Hosts of the 0.82 line print their error text into JSON without escaping it; reading survives that, writing never
//! does it.

use serde::{Deserialize, Serialize};

/// Answer to a command, and to any query or auction that failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Whether the host does, or did, what was asked.
    pub accepted: bool,
    /// The host's words when it does not; empty otherwise.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub error: String,
    /// Ours: why what was asked is in effect on this host alone and does not reach the lattice. Older clients take it for
    /// done, as it is on the host that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_here: Option<String>,
}

impl Ack {
    /// Done, or taken on.
    #[must_use]
    pub fn accepted() -> Self {
        Self { accepted: true, ..Self::default() }
    }

    /// Refused, with the sentence that the operator gets to read.
    pub fn refused(error: impl std::fmt::Display) -> Self {
        Self { error: error.to_string(), ..Self::default() }
    }

    /// Done on this host alone, and why it stays so.
    #[must_use]
    pub fn kept_here(reason: impl std::fmt::Display) -> Self {
        Self { kept_here: Some(reason.to_string()), ..Self::accepted() }
    }

    /// Reads an ack, also one whose error text holds unescaped quotes or control characters.
    ///
    /// # Errors
    /// The decoder's reason when it is not an ack.
    pub fn from_reply(body: &[u8]) -> Result<Self, String> {
        match serde_json::from_slice(body) {
            Ok(_) if !super::is_object(body) => Err("expected a JSON object".to_owned()),
            Ok(ack) => Ok(ack),
            Err(error) => Self::unescaped(body).ok_or_else(|| error.to_string()),
        }
    }

    /// The refusal in any reply whatever, `None` when the reply is something else than a refusal.
    #[must_use]
    pub fn refusal_in(body: &[u8]) -> Option<String> {
        Self::from_reply(body).ok().filter(|ack| !ack.accepted).map(|ack| ack.error)
    }

    /// `{"accepted":false,"error":"…"}` as string formatting makes it: everything up to the last quote is the text.
    fn unescaped(body: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(body);
        let rest = member(text.trim().strip_prefix('{')?, "accepted")?.strip_prefix("false")?;
        let rest = member(rest.trim_start().strip_prefix(',')?, "error")?.strip_prefix('"')?;
        let error = rest.strip_suffix('}')?.trim_end().strip_suffix('"')?;
        Some(Self::refused(error))
    }
}

/// What follows `"name":` when the text begins with it.
fn member<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let text = text.trim_start().strip_prefix('"')?.strip_prefix(name)?.strip_prefix('"')?;
    Some(text.trim_start().strip_prefix(':')?.trim_start())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn writing_escapes_what_reading_gets_back() {
        let ack = Ack::refused("no `\"x\"` in\n\u{1}\\here");
        let body = super::super::encode(&ack);
        assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
        assert_eq!(Ack::from_reply(&body).unwrap(), ack);
    }

    #[test]
    fn an_error_with_unescaped_quotes_is_read_verbatim() {
        let ack = Ack::from_reply(br#"{"accepted":false,"error":"cannot fetch "reg.test/a:1": no "tag""}"#).unwrap();
        assert_eq!(ack, Ack::refused(r#"cannot fetch "reg.test/a:1": no "tag""#));
    }

    #[test]
    fn what_is_not_an_ack_is_not_taken_for_one() {
        for body in ["", "[]", "[true,\"\"]", "{", "{\"accepted\":tru", "not json", "{\"hosts\":[]}", "\u{0}"] {
            assert!(Ack::from_reply(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn only_a_refusal_is_a_refusal() {
        assert_eq!(Ack::refusal_in(br#"{"accepted":false,"error":"no"}"#).as_deref(), Some("no"));
        assert_eq!(Ack::refusal_in(br#"{"accepted":true,"error":""}"#), None);
        assert_eq!(Ack::refusal_in(br#"{"claims":[]}"#), None);
    }
}
