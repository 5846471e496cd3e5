//! What an HTTP answer may look like, whoever gives it: which have a body, how large a head may be, and what is none.
//!
//! Guests, providers and other hosts are strangers; the maps of HTTP libraries end the program above a size. Invariant:
//! nothing is put into such a map before it was counted.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;

use super::malformed;
use crate::{CallError, codec, httpserver::Headers};

/// Most header fields of a message, a field with two values counted twice.
pub const MOST_FIELDS: usize = 1024;
/// Most bytes of the names and values of a message's header fields.
pub const MOST_FIELD_BYTES: usize = 256 << 10;

/// Whether an answer has a body: none to HEAD, and none with a status that says so. In every version of HTTP.
#[must_use]
pub fn has_body(to_head: bool, status: StatusCode) -> bool {
    !to_head && !matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Refuses a status that is of no final answer.
///
/// # Errors
/// [`CallError::Malformed`].
pub fn check_status(status: StatusCode) -> Result<(), CallError> {
    if !status.is_informational() {
        return Ok(());
    }
    Err(malformed("HTTP response", format!("the actor answered with status `{}`", status.as_u16())))
}

/// Refuses an encoded answer that its caller could not send on, without a copy of its body.
///
/// # Errors
/// As for [`super::decode_response`].
pub fn check_response(message: &[u8]) -> Result<(), CallError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Looked<'a> {
        #[serde(default = "ok")]
        status_code: u16,
        #[serde(default)]
        header: Headers,
        #[serde(default, borrow, with = "serde_bytes")]
        #[expect(dead_code, reason = "only that there is one")]
        body: &'a [u8],
    }
    let answer: Looked<'_> = match codec::decode_in_place("HTTP response", message) {
        Ok(answer) => answer,
        // A body that is no byte string reads too, but not without a copy.
        Err(_) => return super::decode_response(message, false).map(drop),
    };
    check_status(status(answer.status_code)?)?;
    fields("HTTP response", &answer.header).map(drop)
}

fn ok() -> u16 {
    200
}

pub(crate) fn status(code: u16) -> Result<StatusCode, CallError> {
    StatusCode::from_u16(code).map_err(|_| malformed("HTTP response", format!("status code {code}")))
}

/// Header fields as a map, once they were counted.
pub(crate) fn fields(what: &str, headers: &Headers) -> Result<HeaderMap, CallError> {
    let count: usize = headers.values().map(Vec::len).sum();
    if count > MOST_FIELDS || headers.len() > MOST_FIELDS {
        return Err(CallError::LimitExceeded { limit: format!("{MOST_FIELDS} header fields of an {what}") });
    }
    let bytes: usize =
        headers.iter().map(|(name, values)| values.iter().map(|value| name.len() + value.len()).sum::<usize>()).sum();
    if bytes > MOST_FIELD_BYTES {
        return Err(CallError::LimitExceeded {
            limit: format!("{MOST_FIELD_BYTES} bytes of header fields of an {what}"),
        });
    }
    let mut map = HeaderMap::with_capacity(count);
    for (name, values) in headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| malformed(what, format!("`{name:.80}` is no header name")))?;
        for value in values {
            let value = HeaderValue::from_bytes(value.as_bytes())
                .map_err(|_| malformed(what, format!("header `{name:.80}` has a value that is none")))?;
            map.append(name.clone(), value);
        }
    }
    Ok(map)
}

/// Refuses a head that was made elsewhere and is larger than one of ours may be.
///
/// # Errors
/// [`CallError::LimitExceeded`].
pub fn check_head(headers: &HeaderMap) -> Result<(), CallError> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > MOST_FIELDS {
        return Err(CallError::LimitExceeded { limit: format!("{MOST_FIELDS} header fields of an HTTP response") });
    }
    if bytes > MOST_FIELD_BYTES {
        let limit = format!("{MOST_FIELD_BYTES} bytes of header fields of an HTTP response");
        return Err(CallError::LimitExceeded { limit });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::http_message::{decode_request, decode_response};
    use crate::httpserver::{HttpRequest, HttpResponse};

    fn answer(header: Headers) -> Vec<u8> {
        codec::encode(&HttpResponse { status_code: 200, header, body: b"x".to_vec() }).unwrap()
    }

    fn names(count: usize) -> Headers {
        (0..count).map(|number| (format!("x-{number}"), vec![String::new()])).collect()
    }

    /// More than 32,768 names end the program inside the map.
    #[test]
    fn a_head_with_too_many_fields_is_refused_before_a_library_sees_it() {
        for (header, is_taken) in [
            (names(MOST_FIELDS), true),
            (names(MOST_FIELDS + 1), false),
            (names(40_000), false),
            ([("x".to_owned(), vec![String::new(); 40_000])].into(), false),
            ([("x".to_owned(), vec!["y".repeat(MOST_FIELD_BYTES)])].into(), false),
        ] {
            let message = answer(header.clone());
            let (decoded, checked) = (decode_response(&message, false).map(drop), check_response(&message));
            assert_eq!(decoded, checked);
            assert_eq!(decoded.map_err(|error| error.code().to_owned()).is_ok(), is_taken);
            let request =
                HttpRequest { method: "GET".to_owned(), path: "/".to_owned(), header, ..HttpRequest::default() };
            assert_eq!(decode_request(&codec::encode(&request).unwrap()).is_ok(), is_taken);
        }
        let refused = check_response(&answer(names(40_000))).unwrap_err();
        assert_eq!(refused.code(), "limit_exceeded");
    }

    #[test]
    fn looking_and_decoding_agree() {
        let list =
            rmp_serde::to_vec_named(&serde_json::json!({"statusCode": 200, "header": {}, "body": [1, 2]})).unwrap();
        for (message, is_taken) in [
            (answer(Headers::new()), true),
            (list, true),
            (codec::encode(&HttpResponse { status_code: 101, ..HttpResponse::default() }).unwrap(), false),
            (codec::encode(&HttpResponse { status_code: 42, ..HttpResponse::default() }).unwrap(), false),
            (b"\xc3".to_vec(), false),
            (Vec::new(), false),
        ] {
            let (decoded, checked) = (decode_response(&message, false).map(drop), check_response(&message));
            assert_eq!(decoded, checked);
            assert_eq!(checked.is_ok(), is_taken);
        }
    }

    #[test]
    fn the_answers_without_a_body_are_known() {
        for (to_head, status, expected) in [
            (false, 200, true),
            (true, 200, false),
            (false, 204, false),
            (false, 205, false),
            (false, 304, false),
            (false, 206, true),
        ] {
            assert_eq!(has_body(to_head, StatusCode::from_u16(status).unwrap()), expected, "{status}");
        }
    }
}
