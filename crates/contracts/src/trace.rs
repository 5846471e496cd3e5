//! What travels with a call from actor to actor: the W3C trace context, level 1, and how deep in a chain of calls it is.
//!
//! Knows no spans and no clock. Invariants: what was read is written as the same ids; anything malformed is no parent; the
//! depth of a call is that of its caller and one more, on whatever host.

use std::{collections::BTreeMap, fmt, str::FromStr};

use data_encoding::HEXLOWER;

use crate::CallError;

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";
/// How the depth is called beside the others on the wire. Hosts that do not know it hand it on, or begin anew.
const DEPTH: &str = "lattice-depth";

/// Calls that may be under way in one chain, each made by the one before.
pub const MAX_CALL_DEPTH: u8 = 64;

/// W3C trace context that travels with a call (`traceparent`, `tracestate`), empty when nobody traces; and its depth.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceContext(pub BTreeMap<String, String>, u8);

impl TraceContext {
    /// What came with a call. A depth that is none is that of a call which came from outside.
    #[must_use]
    pub fn new(mut wire: BTreeMap<String, String>) -> Self {
        let depth = wire.remove(DEPTH).and_then(|depth| depth.parse::<u32>().ok()).unwrap_or(0);
        Self(wire, u8::try_from(depth).unwrap_or(u8::MAX))
    }

    /// What goes with a call to another host or process.
    #[must_use]
    pub fn into_wire(self) -> BTreeMap<String, String> {
        let Self(mut wire, depth) = self;
        if depth > 0 {
            wire.insert(DEPTH.to_owned(), depth.to_string());
        }
        wire
    }

    /// Calls that led to this one.
    #[must_use]
    pub fn depth(&self) -> u8 {
        self.1
    }

    /// Makes it the context of a call that this one makes.
    ///
    /// # Errors
    /// [`CallError::LimitExceeded`] where a chain of calls is as long as any may be.
    pub fn descend(&mut self) -> Result<(), CallError> {
        if self.1 >= MAX_CALL_DEPTH {
            let limit = format!("call depth of {MAX_CALL_DEPTH}: a chain of calls, each made by the one before");
            return Err(CallError::LimitExceeded { limit });
        }
        self.1 += 1;
        Ok(())
    }
}

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
    fn a_chain_of_calls_has_an_end_on_whatever_host() {
        let mut context = TraceContext::default();
        assert!(context.clone().into_wire().is_empty(), "a call from outside has nothing to say");
        for depth in 1..=MAX_CALL_DEPTH {
            context.descend().expect("not too deep");
            context = TraceContext::new(context.into_wire());
            assert_eq!((context.depth(), context.0.len()), (depth, 0));
        }
        assert_eq!(context.descend().expect_err("too deep").code(), "limit_exceeded");
        for (text, depth) in [("", 0), ("x", 0), ("-1", 0), ("7", 7), ("300", u8::MAX)] {
            assert_eq!(TraceContext::new([(DEPTH.to_owned(), text.to_owned())].into()).depth(), depth, "{text}");
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
