//! Contract ids as people see them, and call aliases as signers write them.
//!
//! The ids themselves are free text: unknown ones are legal and shown as they are.

/// The names under which people know the well-known contracts.
const NAMES: &[(&str, &str)] = &[
    ("wasmcloud:keyvalue", "K/V Store"),
    ("wasmcloud:messaging", "Messaging"),
    ("wasmcloud:httpserver", "HTTP Server"),
    ("wasmcloud:httpclient", "HTTP Client"),
    ("wasmcloud:blobstore", "Blob Store"),
    ("wasmcloud:eventstreams", "Event Streams"),
    ("wasmcloud:builtin:logging", "Logging"),
    ("wasmcloud:builtin:numbergen", "Number Generation"),
    ("wasmcloud:latticecontrol", "Lattice control"),
];

/// The name of a contract for people; the id itself when it has none.
///
/// ```
/// assert_eq!(claims::capability_name("wasmcloud:keyvalue"), "K/V Store");
/// assert_eq!(claims::capability_name("acme:radar"), "acme:radar");
/// ```
pub fn capability_name(contract_id: &str) -> &str {
    NAMES.iter().find(|(id, _)| *id == contract_id).map_or(contract_id, |(_, name)| name)
}

/// Brings a call alias into the form signers write: lower case, ASCII, `_` instead of space, `-` and `.`.
///
/// ```
/// assert_eq!(claims::normalize_call_alias(" Echo-Service v1.2 "), "echo_service_v1_2");
/// ```
pub fn normalize_call_alias(alias: &str) -> String {
    alias
        .to_lowercase()
        .trim()
        .chars()
        .filter(char::is_ascii)
        .map(|c| if matches!(c, ' ' | '-' | '.') { '_' } else { c })
        .collect()
}

/// Whether `wash` takes the alias as it is: lower-case letters, digits, `_` and `/`.
pub fn is_call_alias(alias: &str) -> bool {
    !alias.is_empty() && alias.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_normalized_before_they_are_signed() {
        assert_eq!(normalize_call_alias("Grüße.An Alle"), "gre_an_alle");
        assert_eq!(normalize_call_alias("acme/echo"), "acme/echo");
        assert!(is_call_alias("acme/echo_2"));
        for refused in ["", "Echo", "a-b", "a b", "ä"] {
            assert!(!is_call_alias(refused), "{refused}");
        }
    }
}
