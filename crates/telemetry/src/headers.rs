//! Headers for the receiver, as OpenTelemetry's "Protocol Exporter" writes them: a list of W3C Baggage without
//! properties. Pure. Values may be secrets: errors do not have them.

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};

/// An entry of a list is no `name=value` of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoHeader {
    /// Which one, from 1.
    pub entry: usize,
}

/// Reads `name=value,name=value` with percent-encoded values, which are marked as sensitive.
///
/// # Errors
/// [`NoHeader`], for the first entry that is none.
pub fn parse(list: &str) -> Result<HeaderMap, NoHeader> {
    let entries = list.split(',').map(str::trim).zip(1..).filter(|(text, _)| !text.is_empty());
    entries.map(|(text, entry)| header(text).ok_or(NoHeader { entry })).collect()
}

fn header(text: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once('=')?;
    let decoded: Vec<u8> = percent_decode_str(value.trim()).collect();
    let mut value = HeaderValue::from_bytes(&decoded).ok()?;
    value.set_sensitive(true);
    Some((name.trim().parse().ok()?, value))
}

/// What [`parse`] reads.
#[must_use]
pub fn list(headers: &HeaderMap) -> String {
    let entry = |(name, value): (&HeaderName, &HeaderValue)| {
        format!("{name}={}", percent_encode(value.as_bytes(), NON_ALPHANUMERIC))
    };
    headers.iter().map(entry).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_is_read_again() {
        let headers = parse(" authorization = Basic%20a%3Db%2C ,x-tenant=42,,").expect("headers");
        assert_eq!(
            (headers.len(), &headers["authorization"], &headers["x-tenant"]),
            (2, &"Basic a=b,".parse().expect("a value"), &"42".parse().expect("a value"))
        );
        assert!(headers.values().all(HeaderValue::is_sensitive));
        assert_eq!(parse(&list(&headers)), Ok(headers));
        assert_eq!((parse(""), list(&HeaderMap::new())), (Ok(HeaderMap::new()), String::new()));
    }

    #[test]
    fn an_entry_that_is_no_header_is_told_by_its_place() {
        for (list, entry) in [("x", 1), ("a=b,x", 2), ("a=b,,sp ace=1", 3), ("a=b,c=%0A", 2), ("=x", 1)] {
            assert_eq!(parse(list), Err(NoHeader { entry }), "{list}");
        }
    }
}
