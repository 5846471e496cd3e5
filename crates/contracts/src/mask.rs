//! Secrets in what is shown: link values, words of providers, anything that may hold a password.
//!
//! Owns what counts as a secret; knows nothing of who shows it. Invariant: text without a secret comes back as it was, and
//! masking what was masked changes nothing.

use std::borrow::Cow;

use data_encoding::{BASE64, BASE64_NOPAD};

use crate::link_values::Values;

/// What stands where a secret was.
pub const REDACTED: &str = "[redacted]";

/// Parts of a key's name that make its value a secret; `-`, `_` and case do not count.
const SECRET_NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "seed",
    "jwt",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
];
/// Endings that say that the value is a name or a place, not the secret itself.
const HARMLESS_ENDINGS: &[&str] = &["file", "path", "dir", "id", "name", "url"];

/// Whether the value under this key is a secret by its name, as `CLIENT_SEED` or `apiKey`; a `token_file` is none.
#[must_use]
pub fn is_secret_name(key: &str) -> bool {
    let key: String = key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    SECRET_NAMES.iter().any(|name| key.contains(name)) && !HARMLESS_ENDINGS.iter().any(|end| key.ends_with(end))
}

/// Link values as they may be shown: the same keys, no secrets.
#[must_use]
pub fn values(values: &Values) -> Values {
    values.iter().map(|(key, text)| (key.clone(), value(key, text).into_owned())).collect()
}

/// One value under its key: nothing of it when the name says that it is a secret; else without those inside of URLs and of
/// JSON, also of JSON in base64.
#[must_use]
pub fn value<'a>(key: &str, text: &'a str) -> Cow<'a, str> {
    if is_secret_name(key) && !text.is_empty() {
        return Cow::Borrowed(REDACTED);
    }
    if let Some(masked) = json(text) {
        return masked;
    }
    let trimmed = text.trim().trim_end_matches('=');
    let inner = BASE64_NOPAD.decode(trimmed.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match inner.as_deref().and_then(json) {
        Some(Cow::Owned(masked)) => Cow::Owned(BASE64.encode(masked.as_bytes())),
        Some(Cow::Borrowed(_)) => Cow::Borrowed(text),
        None => self::text(text),
    }
}

/// Free text, such as the last line of a program, without the passwords of URLs (`scheme://user:password@host`) and
/// without what follows `password=`, `token:` and the like.
#[must_use]
pub fn text(text: &str) -> Cow<'_, str> {
    match assignments(&urls(text)) {
        masked if masked == text => Cow::Borrowed(text),
        masked => Cow::Owned(masked),
    }
}

/// JSON objects and lists, masked by their keys; none when `text` is neither.
fn json(text: &str) -> Option<Cow<'_, str>> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let mut parsed: serde_json::Value = serde_json::from_str(text).ok()?;
    Some(if mask_json(&mut parsed) { Cow::Owned(parsed.to_string()) } else { Cow::Borrowed(text) })
}

/// Whether anything was masked.
fn mask_json(json: &mut serde_json::Value) -> bool {
    match json {
        serde_json::Value::Object(members) => members.iter_mut().fold(false, |changed, (key, member)| {
            let secret = is_secret_name(key) && (member.is_string() || member.is_number());
            if secret && member != REDACTED {
                *member = REDACTED.into();
                return true;
            }
            (!secret && mask_json(member)) | changed
        }),
        serde_json::Value::Array(items) => items.iter_mut().fold(false, |changed, item| mask_json(item) | changed),
        serde_json::Value::String(string) => match text(string) {
            Cow::Owned(masked) => {
                *string = masked;
                true
            }
            Cow::Borrowed(_) => false,
        },
        _ => false,
    }
}

/// Replaces what stands between `://` and the last `@` before the host ends: `user:password` loses the password, a lone
/// token goes whole, a lone user of a scheme that has no tokens stays.
fn urls(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        masked.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "/?#\"'`<>,".contains(c)).unwrap_or(after.len());
        // A password may hold `/`, against RFC 3986; people type it nevertheless. An `@` before the next blank counts then.
        let word = after.find(|c: char| c.is_whitespace() || "\"'`<>,".contains(c)).unwrap_or(after.len());
        let authority = &after[..end];
        let before_query = after.find(|c: char| "?#".contains(c)).map_or(word, |at| at.min(word));
        let user_info = if authority.contains('@') {
            after[..before_query].rfind('@')
        } else if authority.contains(':') && !is_host_and_port(authority) {
            after[..word].rfind('@')
        } else {
            None
        };
        rest = match user_info {
            Some(at) => {
                match after[..at].split_once(':') {
                    Some((user, _)) => masked.extend([user, ":", REDACTED]),
                    None if before.ends_with("nats://") || before.ends_with("tls://") => masked.push_str(REDACTED),
                    None => masked.push_str(&after[..at]),
                }
                &after[at..]
            }
            None => after,
        };
    }
    masked.push_str(rest);
    masked
}

fn is_host_and_port(authority: &str) -> bool {
    authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Replaces the word behind `name=`, `name: ` and `"name": "` where the name is that of a secret.
fn assignments(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['=', ':']) {
        let (before, after) = rest.split_at(at + 1);
        masked.push_str(before);
        rest = after;
        let name = before[..at].trim_end_matches(['"', '\'']);
        let name = name.rsplit(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c))).next().unwrap_or_default();
        if !is_secret_name(name) || after.starts_with("//") {
            continue;
        }
        let value = after.trim_start_matches([' ', '"', '\'']);
        let end = value.find(|c: char| c.is_whitespace() || "\"'`,;&)}".contains(c)).unwrap_or(value.len());
        if end > 0 {
            masked.push_str(&after[..after.len() - value.len()]);
            masked.push_str(REDACTED);
            rest = &value[if value.starts_with(REDACTED) { REDACTED.len() } else { end }..];
        }
    }
    masked.push_str(rest);
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_told_from_names_of_places() {
        for secret in
            ["password", "DB_PASSWORD", "CLIENT_SEED", "client-jwt", "apiKey", "auth_token", "aws_secret_access_key"]
        {
            assert!(is_secret_name(secret), "{secret}");
        }
        for plain in
            ["address", "URL", "token_file", "priv_key_file", "credentials_path", "SUBSCRIPTION", "keyspace", ""]
        {
            assert!(!is_secret_name(plain), "{plain}");
        }
    }

    #[test]
    fn what_holds_a_secret_is_masked_where_it_stands_and_only_once() {
        for (key, shown, masked) in [
            ("URL", "redis://:hunter2@10.0.0.1:6379/0", "redis://:[redacted]@10.0.0.1:6379/0"),
            ("uri", "postgres://svc:p@ss/w0rd@db/x?sslmode=require", "postgres://svc:[redacted]@db/x?sslmode=require"),
            ("URI", "nats://s3cr3t@a:4222,nats://b:4222", "nats://[redacted]@a:4222,nats://b:4222"),
            ("password", "hunter2", "[redacted]"),
            ("config_json", r#"{"a":1,"pool":{"password":"x"}}"#, r#"{"a":1,"pool":{"password":"[redacted]"}}"#),
            ("config_json", r#"{"url":"redis://u:p@h"}"#, r#"{"url":"redis://u:[redacted]@h"}"#),
            (
                "dsn",
                "host=db user=svc password=hunter2 sslmode=off",
                "host=db user=svc password=[redacted] sslmode=off",
            ),
        ] {
            assert_eq!(value(key, shown), masked, "{key}");
            assert_eq!(value(key, masked), masked, "{key} twice");
        }
        let packed = BASE64_NOPAD.encode(br#"{"auth_seed":"SUAB"}"#);
        assert_eq!(
            BASE64.decode(value("config_b64", &packed).as_bytes()),
            Ok(br#"{"auth_seed":"[redacted]"}"#.to_vec())
        );
    }

    #[test]
    fn what_holds_none_stays_as_it_is() {
        for (key, plain) in [
            ("address", "127.0.0.1:8080"),
            ("url", "http://localhost:8080/a@b"),
            ("SUBSCRIPTION", "a.b|group,c.>"),
            ("config_json", r#"{"address": "[::1]:80"}"#),
            ("config_b64", "e30"),
            ("note", "the token is elsewhere: see the wiki"),
            ("password", ""),
        ] {
            assert!(matches!(value(key, plain), Cow::Borrowed(same) if same == plain), "{key}: {}", value(key, plain));
        }
    }

    #[test]
    fn the_words_of_a_program_lose_their_passwords() {
        let said = r#"FATAL cannot connect to postgres://svc:hunter2@db:5432/x: bad "password": "hunter2", token=abc;"#;
        let shown = text(said);
        assert!(!shown.contains("hunter2") && !shown.contains("abc"), "{shown}");
        assert!(shown.starts_with("FATAL cannot connect to postgres://svc:[redacted]@db:5432/x: bad "), "{shown}");
    }
}
