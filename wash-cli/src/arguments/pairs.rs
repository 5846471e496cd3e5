//! `key=value` on the command line.

use std::collections::BTreeMap;

/// Parses one pair for clap. The value may be empty and may contain `=`.
///
/// # Errors
/// There is no `=`, or no key before it.
pub fn parse(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("expected `key=value`".to_owned()),
    }
}

/// The pairs as a map.
///
/// # Errors
/// A key is there twice, which is always a slip.
pub fn to_map(pairs: &[(String, String)]) -> crate::terminal::failure::Result<BTreeMap<String, String>> {
    let mut map = BTreeMap::new();
    for (key, value) in pairs {
        if map.insert(key.clone(), value.clone()).is_some() {
            return Err(crate::terminal::failure::Failure::usage(format!("`{key}` is given twice")));
        }
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_split_at_the_first_equals_sign() {
        assert_eq!(parse("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(parse("a="), Ok(("a".to_owned(), String::new())));
        assert!(parse("=b").is_err());
        assert!(parse("ab").is_err());
    }

    #[test]
    fn a_key_given_twice_is_wrong_usage() {
        let twice = [("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
        assert_eq!(to_map(&twice).expect_err("twice").exit_code(), 2);
    }
}
