//! The names people choose: lattices, links, contracts.
//!
//! Owns what may be such a name and nothing about what it names. Invariant: a [`LatticeId`] or [`LinkName`] is exactly
//! one token of a NATS subject, so that no name can reach into another lattice or widen a subscription.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Longest name, in bytes.
const MAX_BYTES: usize = 256;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: {reason}")]
pub struct NameError {
    /// What it should have been, in words.
    pub what: &'static str,
    /// The text, cut when it is too long to print.
    pub text: String,
    /// The rule it breaks.
    pub reason: &'static str,
}

impl NameError {
    /// Stable word for logs, tests and replies.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "invalid_name"
    }

    fn new(what: &'static str, text: &str, reason: &'static str) -> Self {
        Self { what, text: text.chars().filter(|c| !c.is_control()).take(64).collect(), reason }
    }
}

/// One token of a subject.
fn check_token(text: &str) -> Result<(), &'static str> {
    check_text(text)?;
    if text.chars().any(|c| matches!(c, '.' | '*' | '>') || c.is_whitespace()) {
        return Err("it must not contain `.`, `*`, `>` or white space");
    }
    Ok(())
}

/// Something that can be printed.
fn check_text(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it must not be empty");
    }
    if text.len() > MAX_BYTES {
        return Err("it must not be longer than 256 bytes");
    }
    if text.chars().any(char::is_control) {
        return Err("it must not contain control characters");
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                $check(text).map_err(|reason| NameError::new($what, text, reason))?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), &*self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("a ", $what))
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

name!(
    /// A lattice: one flat set of hosts that share a NATS subject space. One subject token, `default` by default.
    LatticeId, "lattice name", check_token
);
name!(
    /// The name of a link, which tells links of one actor and contract apart. One subject token, `default` by default.
    LinkName, "link name", check_token
);
name!(
    /// The name of a capability contract, usually `vendor:capability`.
    ContractId, "contract id", check_text
);

impl Default for LatticeId {
    fn default() -> Self {
        Self("default".into())
    }
}

impl Default for LinkName {
    fn default() -> Self {
        Self("default".into())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn names_of_lattices_and_links_are_one_subject_token() {
        for good in ["default", "a", "My-Lattice_2", "größe", "$O", "a/b"] {
            assert_eq!(good.parse::<LatticeId>().unwrap().as_str(), good);
            assert_eq!(good.parse::<LinkName>().unwrap().to_string(), good);
        }
        for bad in ["", ".", "a.b", "*", ">", "a b", "a\tb", "a\u{a0}b", "a\u{7}", &"x".repeat(257)] {
            let error = bad.parse::<LatticeId>().unwrap_err();
            assert_eq!((error.what, error.code()), ("lattice name", "invalid_name"), "{bad:?}");
            assert_eq!(bad.parse::<LinkName>().unwrap_err().what, "link name", "{bad:?}");
        }
    }

    #[test]
    fn contract_ids_may_contain_what_subjects_may_not() {
        assert_eq!("acme:my.kv v2".parse::<ContractId>().unwrap().as_str(), "acme:my.kv v2");
        for bad in ["", "a\nb", &"x".repeat(257)] {
            assert_eq!(bad.parse::<ContractId>().unwrap_err().what, "contract id");
        }
    }

    #[test]
    fn an_error_prints_no_control_characters_and_not_the_whole_of_a_long_text() {
        let error = format!("\u{1b}[31m{}", "x".repeat(100_000)).parse::<LinkName>().unwrap_err();
        assert!(!error.to_string().contains('\u{1b}'));
        assert!(error.to_string().len() < 200, "{error}");
    }

    #[test]
    fn names_are_plain_strings_in_json() {
        assert_eq!(serde_json::to_string(&LatticeId::default()).unwrap(), r#""default""#);
        assert_eq!(serde_json::from_str::<LinkName>(r#""b""#).unwrap().as_str(), "b");
        let error = serde_json::from_str::<LinkName>(r#""a.b""#).unwrap_err().to_string();
        assert!(error.contains("`a.b` is not a link name"), "{error}");
    }
}
