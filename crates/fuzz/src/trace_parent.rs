//! Trace context of callers: what is read is written as the same ids, and what is written is read.

use contracts::{TraceContext, TraceParent};

/// The input as a `traceparent`.
pub fn trace_parent(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut context = TraceContext::new([("traceparent".to_owned(), text.to_owned())].into());
    let parsed = text.parse::<TraceParent>().ok();
    assert_eq!(context.parent(), parsed);
    let Some(parent) = parsed else { return };
    let written = parent.to_string();
    assert_eq!(written.parse(), Ok(parent));
    // The ids are those of the text, whatever its version.
    assert_eq!(&written[3..52], &text[3..52]);
    assert_eq!(written.len(), 55);
    context.set_parent(&parent);
    assert_eq!(context.parent(), Some(parent));
}
