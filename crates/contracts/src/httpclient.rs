//! `wasmcloud:httpclient`: HTTP requests that actors make (protocol section 7.6).
//!
//! Invariant: the argument says `headers`, the result says `header`; real peers know no other spelling.

#[cfg(feature = "http")]
mod message;

use serde::{Deserialize, Serialize};

use crate::httpserver::Headers;

#[cfg(feature = "http")]
pub use message::{decode_response, encode_request};

/// Contract id.
pub const CONTRACT: &str = "wasmcloud:httpclient";
/// The one operation, actor to provider: [`HttpRequest`] → [`HttpResponse`].
pub const REQUEST: &str = "HttpClient.Request";

/// Argument of [`REQUEST`]. Providers of 0.82 want every member to be present.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRequest {
    /// Method, upper case.
    pub method: String,
    /// Whole URL, with scheme and authority.
    pub url: String,
    /// Header values by lower-case name.
    #[serde(default)]
    pub headers: Headers,
    /// Body.
    #[serde(default, with = "serde_bytes")]
    pub body: Vec<u8>,
}

/// Result of [`REQUEST`]. Providers of 0.82 tell a failed connection by status 500 and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpResponse {
    /// Status code.
    pub status_code: u16,
    /// Header values by name. Providers of 0.82 split them at commas; see [`HttpResponse::join_split_values`].
    #[serde(default)]
    pub header: Headers,
    /// Body.
    #[serde(default, with = "serde_bytes")]
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// Puts together what a provider of 0.82 took apart: no value begins with a space by itself, so one that does is
    /// the rest of the one before it. What was split at a comma without a space stays split, which means the same.
    pub fn join_split_values(&mut self) {
        for values in self.header.values_mut() {
            if !values.iter().skip(1).any(|value| value.starts_with(' ')) {
                continue;
            }
            let mut joined: Vec<String> = Vec::with_capacity(values.len());
            for value in values.drain(..) {
                match joined.last_mut() {
                    Some(last) if value.starts_with(' ') => {
                        last.push(',');
                        last.push_str(&value);
                    }
                    _ => joined.push(value),
                }
            }
            *values = joined;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_that_was_split_at_its_comma_is_one_value_again() {
        let text = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
        let mut response = HttpResponse::default();
        response.header.insert("date".to_owned(), text(&["Fri", " 20 Nov 2026 21:38:18 GMT"]));
        response.header.insert("vary".to_owned(), text(&["a", "b"]));
        response.header.insert("odd".to_owned(), text(&[" first"]));
        response.join_split_values();
        assert_eq!(response.header["date"], ["Fri, 20 Nov 2026 21:38:18 GMT"]);
        assert_eq!(response.header["vary"], ["a", "b"]);
        assert_eq!(response.header["odd"], [" first"]);
    }
}
