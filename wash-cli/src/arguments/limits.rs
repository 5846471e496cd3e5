//! `--limit NAME=VALUE`: what an actor may use, as it travels to a host.
//!
//! A name or a value no host would take is found here, before anything is asked of one.

use host::LimitSettings;
use lattice::control::Limits;

use crate::terminal::failure::{Failure, Result};

/// Checks one setting.
///
/// # Errors
/// What is wrong with it, and what would do.
pub fn parse(text: &str) -> std::result::Result<String, String> {
    LimitSettings::default().set(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

/// The settings together; none when nothing was set, which leaves an actor what it has.
///
/// # Errors
/// As for [`parse`].
pub fn to_wire(texts: &[String]) -> Result<Option<Limits>> {
    let mut settings = LimitSettings::default();
    for text in texts {
        settings.set(text).map_err(|error| Failure::usage(error.to_string()))?;
    }
    Ok((!settings.is_empty()).then(|| settings.to_texts()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_travel_in_their_shortest_form_and_no_setting_as_nothing() {
        assert_eq!(to_wire(&[]).ok(), Some(None));
        let texts = ["memory=65536KiB".to_owned(), "cpu-time=2000ms".to_owned()];
        let expected =
            [("cpu-time", "2s"), ("memory", "64MiB")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(to_wire(&texts).ok().flatten(), Some(expected.into()));
    }

    #[test]
    fn a_limit_that_does_not_exist_is_a_usage_error() {
        assert!(parse("memroy=1").expect_err("unknown").starts_with("unknown limit `memroy`"));
    }
}
