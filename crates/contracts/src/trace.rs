//! W3C trace context, level 1: who called, in the words of a trace.
//!
//! Knows no spans and no clock. Invariant: what was read is written as the same ids; anything malformed is no parent.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;

use crate::TraceContext;

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

/// Length of a `traceparent` of version 00, and of the part of a later version that we know.
const LENGTH: usize = 55;

/// The `traceparent` of a call: the trace, the calling span, and whether it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace; not zero.
    pub trace_id: [u8; 16],
    /// The span that made the call; not zero.
    pub span_id: [u8; 8],
    /// Whether the caller records it.
    pub sampled: bool,
}

/// The text is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not of the form `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`")]
pub struct NotATraceParent;

impl FromStr for TraceParent {
    type Err = NotATraceParent;

    fn from_str(text: &str) -> Result<Self, NotATraceParent> {
        let bytes = text.as_bytes();
        let known = bytes.get(..LENGTH).ok_or(NotATraceParent)?;
        let [version] = hex(&known[..2])?;
        // Later versions may say more, behind another dash.
        let rest_is_fine = match version {
            0 => bytes.len() == LENGTH,
            0xFF => false,
            _ => matches!(bytes.get(LENGTH), None | Some(b'-')),
        };
        if !rest_is_fine || [known[2], known[35], known[52]] != *b"---" {
            return Err(NotATraceParent);
        }
        let (trace_id, span_id) = (hex(&known[3..35])?, hex(&known[36..52])?);
        let [flags] = hex(&known[53..])?;
        if trace_id == [0; 16] || span_id == [0; 8] {
            return Err(NotATraceParent);
        }
        Ok(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }
}

fn hex<const N: usize>(text: &[u8]) -> Result<[u8; N], NotATraceParent> {
    let mut bytes = [0; N];
    match HEXLOWER.decode_len(text.len()) {
        Ok(length) if length == N => HEXLOWER.decode_mut(text, &mut bytes).map_err(|_| NotATraceParent)?,
        _ => return Err(NotATraceParent),
    };
    Ok(bytes)
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (HEXLOWER.encode(&self.trace_id), HEXLOWER.encode(&self.span_id));
        write!(f, "00-{trace}-{span}-{:02x}", u8::from(self.sampled))
    }
}

impl TraceContext {
    /// The calling span; none when there is none, or what is there is malformed.
    #[must_use]
    pub fn parent(&self) -> Option<TraceParent> {
        self.0.get(PARENT)?.parse().ok()
    }

    /// Makes `parent` the calling span.
    pub fn set_parent(&mut self, parent: &TraceParent) {
        self.0.insert(PARENT.to_owned(), parent.to_string());
    }

    /// What the vendors along the way added.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.0.get(STATE).map(String::as_str)
    }

    /// Forgets what belongs to a trace that is not gone on with.
    pub fn clear(&mut self) {
        self.0.remove(PARENT);
        self.0.remove(STATE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_parent_is_written_as_it_was_read() {
        let parent: TraceParent = TEXT.parse().expect("a parent");
        assert!(parent.sampled && parent.trace_id[0] == 0x0A && parent.span_id[7] == 0x31);
        assert_eq!(parent.to_string(), TEXT);
        let quiet = TraceParent { sampled: false, ..parent };
        assert!(quiet.to_string().ends_with("-00"));
    }

    #[test]
    fn later_versions_are_read_as_far_as_they_are_known() {
        for text in [TEXT.replacen("00", "cc", 1), format!("{}-more", TEXT.replacen("00", "cc", 1))] {
            assert_eq!(text.parse::<TraceParent>().map(|parent| parent.to_string()).as_deref(), Ok(TEXT));
        }
    }

    #[test]
    fn what_is_malformed_is_no_parent() {
        let zero_trace = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
        let zero_span = format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", "0".repeat(16));
        let cases = ["", "00", &TEXT[..54], &format!("{TEXT}-more"), &TEXT.replacen("00", "ff", 1), &zero_trace];
        let more = [&*zero_span, &TEXT.to_uppercase(), &TEXT.replace('-', "_"), &TEXT.replace("31-01", "3ä-01")];
        for text in cases.into_iter().chain(more) {
            assert_eq!(text.parse::<TraceParent>(), Err(NotATraceParent), "{text}");
        }
    }

    #[test]
    fn a_context_without_a_parent_has_none() {
        let mut context = TraceContext::default();
        assert_eq!(context.parent(), None);
        context.0.insert("traceparent".into(), "junk".into());
        assert_eq!(context.parent(), None);
        context.set_parent(&TEXT.parse().expect("a parent"));
        assert_eq!(context.0["traceparent"], TEXT);
        context.clear();
        assert_eq!(context, TraceContext::default());
    }
}
