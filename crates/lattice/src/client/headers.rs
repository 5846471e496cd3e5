//! Message headers beside the 0.82 envelope: time left, trace context, code of a failure.
//!
//! Writing and reading of each stand together. Invariant: whatever a peer put into an envelope or header, it neither
//! panics nor adds a header of its own.

use std::{
    collections::BTreeMap,
    str::FromStr,
    time::{Duration, Instant},
};

use async_nats::{HeaderMap, header::HeaderValue};

use crate::invocation::{DEADLINE_HEADER, DELEGATION_HEADER, ERROR_CODE_HEADER};

/// Members of a trace context.
const TRACE: [&str; 2] = ["traceparent", "tracestate"];
/// Longest code of a failure that is believed to be one.
const MAX_CODE: usize = 64;
/// Longest time left that is believed.
const MAX_TIME_LEFT: Duration = Duration::from_secs(3600);

/// Headers of a call that the caller waits for as long as `time_left`.
pub(super) fn of_call(time_left: Duration, trace: &BTreeMap<String, String>, delegation: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(statement) = delegation {
        headers.insert(DELEGATION_HEADER, statement);
    }
    headers.insert(DEADLINE_HEADER, milliseconds(time_left));
    for name in TRACE {
        if let Some(value) = trace.get(name).and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    }
    headers
}

/// Time left as the deadline header has it.
pub(super) fn milliseconds(time_left: Duration) -> String {
    time_left.as_millis().to_string()
}

/// When the caller stops waiting, if it says so.
pub(super) fn deadline(headers: Option<&HeaderMap>, now: Instant) -> Option<Instant> {
    let left: u64 = headers?.get(DEADLINE_HEADER)?.as_str().parse().ok()?;
    Some(now + Duration::from_millis(left).min(MAX_TIME_LEFT))
}

/// The trace context in the headers.
pub(super) fn trace(headers: Option<&HeaderMap>) -> BTreeMap<String, String> {
    let value = |name: &str| Some((name.to_owned(), headers?.get(name)?.as_str().to_owned()));
    TRACE.into_iter().filter_map(value).collect()
}

/// Headers of an answer that is a failure.
pub(super) fn of_failure(code: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(ERROR_CODE_HEADER, HeaderValue::from_str(code).ok()?);
    Some(headers)
}

/// The code of a failure, if the answer carries one.
pub(super) fn error_code(headers: Option<&HeaderMap>) -> Option<&str> {
    Some(headers?.get(ERROR_CODE_HEADER)?.as_str()).filter(|code| code.len() <= MAX_CODE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_and_trace_context_arrive() {
        let trace_context = BTreeMap::from([
            ("traceparent".to_owned(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            ("x-evil".to_owned(), "1".to_owned()),
        ]);
        let headers = of_call(Duration::from_millis(1500), &trace_context, None);
        let now = Instant::now();
        assert_eq!(deadline(Some(&headers), now), Some(now + Duration::from_millis(1500)));
        assert_eq!(trace(Some(&headers)).into_keys().collect::<Vec<_>>(), ["traceparent"]);
        assert!(headers.get("x-evil").is_none());
    }

    #[test]
    fn hostile_values_are_dropped() {
        let split = BTreeMap::from([("traceparent".to_owned(), "a\r\nLattice-Error: x".to_owned())]);
        assert!(trace(Some(&of_call(Duration::ZERO, &split, None))).is_empty());
        assert!(of_failure("a\nb").is_none());
        let now = Instant::now();
        let mut headers = HeaderMap::new();
        headers.insert(DEADLINE_HEADER, u64::MAX.to_string());
        assert_eq!(deadline(Some(&headers), now), Some(now + MAX_TIME_LEFT));
        headers.insert(DEADLINE_HEADER, "soon");
        assert_eq!(deadline(Some(&headers), now), None);
    }

    #[test]
    fn a_failure_carries_its_code() {
        let headers = of_failure("not_linked");
        assert_eq!(error_code(headers.as_ref()), Some("not_linked"));
        assert_eq!(error_code(None), None);
        assert_eq!(error_code(of_failure(&"x".repeat(1 << 16)).as_ref()), None);
    }
}
