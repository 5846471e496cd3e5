//! Spans as OTLP wants them: the protobuf message `ExportTraceServiceRequest`.
//!
//! Only what we send is here. Field numbers are those of `opentelemetry/proto/trace/v1`. Pure.

use super::Ended;

/// Who sends: attributes of everything that is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resource(pub Vec<(&'static str, String)>);

/// Name of what made the spans.
const SCOPE: &str = "lattice";
const STATUS_ERROR: u64 = 2;

/// One request with these spans.
#[must_use]
pub fn request(resource: &Resource, spans: &[Ended]) -> Vec<u8> {
    let mut described = Message::default();
    for (name, value) in &resource.0 {
        described.message(1, &attribute(name, value));
    }
    let mut scope = Message::default();
    scope.text(1, SCOPE);
    let mut scoped = Message::default();
    scoped.message(1, &scope);
    for span in spans {
        scoped.message(2, &self::span(span));
    }
    let mut of_resource = Message::default();
    of_resource.message(1, &described);
    of_resource.message(2, &scoped);
    let mut request = Message::default();
    request.message(1, &of_resource);
    request.0
}

fn span(span: &Ended) -> Message {
    let mut message = Message::default();
    message.bytes(1, &span.own.trace_id);
    message.bytes(2, &span.own.span_id);
    message.text(3, &span.state);
    message.bytes(4, span.parent.as_ref().map_or(&[], |parent| parent.as_slice()));
    message.text(5, &span.name);
    message.number(6, span.kind as u64);
    message.fixed64(7, nanos(span.began));
    message.fixed64(8, nanos(span.began + span.took));
    for (name, value) in &span.attributes {
        message.message(9, &attribute(name, value));
    }
    if let Some(code) = &span.error {
        let mut status = Message::default();
        status.text(2, code);
        status.number(3, STATUS_ERROR);
        message.message(15, &status);
    }
    message
}

fn attribute(name: &str, value: &str) -> Message {
    let mut any = Message::default();
    any.delimited(1, value.as_bytes()); // an empty text is a value too: one of several kinds is there or is not
    let mut attribute = Message::default();
    attribute.text(1, name);
    attribute.message(2, &any);
    attribute
}

fn nanos(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A protobuf message under construction. Empty texts and bytes are left out, as protobuf does.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, field: u64, value: u64) {
        self.varint(field << 3);
        self.varint(value);
    }

    fn fixed64(&mut self, field: u64, value: u64) {
        self.varint(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
    }

    fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.delimited(field, bytes);
        }
    }

    fn message(&mut self, field: u64, message: &Self) {
        self.delimited(field, &message.0);
    }

    fn delimited(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(u8::try_from(value & 0x7F).expect("seven bits") | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).expect("seven bits"));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use contracts::TraceParent;

    use super::*;
    use crate::Kind;

    #[test]
    fn numbers_and_lengths_are_varints() {
        let mut message = Message::default();
        message.number(1, 150);
        message.text(2, "testing");
        message.fixed64(3, 1);
        message.text(4, "");
        let expected = b"\x08\x96\x01\x12\x07testing\x19\x01\0\0\0\0\0\0\0";
        assert_eq!(message.0, expected);
    }

    #[test]
    fn a_span_has_its_fields_where_receivers_look_for_them() {
        let own = TraceParent { trace_id: [1; 16], span_id: [2; 8], sampled: true };
        let ended = Ended {
            own,
            parent: Some([3; 8]),
            state: String::new(),
            name: "Work".to_owned(),
            kind: Kind::Client,
            began: Duration::from_nanos(5),
            took: Duration::from_nanos(2),
            attributes: vec![("a", "b".into())],
            error: Some("trap".into()),
        };
        let mut expected = vec![0x0A, 16];
        expected.extend([1; 16]);
        expected.extend([0x12, 8, 2, 2, 2, 2, 2, 2, 2, 2, 0x22, 8, 3, 3, 3, 3, 3, 3, 3, 3]);
        expected.extend(b"\x2a\x04Work\x30\x03\x39\x05\0\0\0\0\0\0\0\x41\x07\0\0\0\0\0\0\0");
        expected.extend(b"\x4a\x08\x0a\x01a\x12\x03\x0a\x01b\x7a\x08\x12\x04trap\x18\x02");
        assert_eq!(span(&ended).0, expected);
    }

    #[test]
    fn what_is_sent_is_read_by_the_messages_of_opentelemetry() {
        use opentelemetry_proto::tonic::{
            collector::trace::v1::ExportTraceServiceRequest,
            common::v1::any_value::Value,
            trace::v1::{span::SpanKind, status::StatusCode},
        };
        use prost::Message as _;

        let own = TraceParent { trace_id: [7; 16], span_id: [8; 8], sampled: true };
        let root = Ended {
            own,
            parent: None,
            state: "vendor=1".to_owned(),
            name: "wasmcloud:keyvalue Get".to_owned(),
            kind: Kind::Server,
            began: Duration::new(1_700_000_000, 5),
            took: Duration::from_millis(300),
            attributes: vec![("rpc.method", "Get".into()), ("empty", "".into())],
            error: None,
        };
        let child = Ended { parent: Some([8; 8]), kind: Kind::Client, error: Some("trap".into()), ..root.clone() };
        let resource = Resource(vec![("service.name", "wash-host".to_owned())]);
        let sent = request(&resource, &[root, child]);
        let read = ExportTraceServiceRequest::decode(sent.as_slice()).expect("an export request");
        assert_eq!(read.encode_to_vec().len(), sent.len(), "and nothing is passed over as unknown");

        let [of_resource] = read.resource_spans.as_slice() else { panic!("one resource") };
        let text = |value: &Option<opentelemetry_proto::tonic::common::v1::AnyValue>| match value
            .as_ref()
            .and_then(|any| any.value.clone())
        {
            Some(Value::StringValue(text)) => text,
            other => panic!("no text: {other:?}"),
        };
        let described = &of_resource.resource.as_ref().expect("a resource").attributes;
        assert_eq!((described[0].key.as_str(), text(&described[0].value).as_str()), ("service.name", "wash-host"));
        let [scoped] = of_resource.scope_spans.as_slice() else { panic!("one scope") };
        assert_eq!(scoped.scope.as_ref().expect("a scope").name, SCOPE);
        let [root, child] = scoped.spans.as_slice() else { panic!("two spans") };
        assert_eq!((root.trace_id.as_slice(), root.span_id.as_slice()), ([7; 16].as_slice(), [8; 8].as_slice()));
        assert_eq!((root.parent_span_id.len(), child.parent_span_id.as_slice()), (0, [8; 8].as_slice()));
        assert_eq!((root.trace_state.as_str(), root.name.as_str()), ("vendor=1", "wasmcloud:keyvalue Get"));
        assert_eq!((root.kind(), child.kind()), (SpanKind::Server, SpanKind::Client));
        assert_eq!(root.start_time_unix_nano, 1_700_000_000_000_000_005);
        assert_eq!(root.end_time_unix_nano - root.start_time_unix_nano, 300_000_000);
        assert_eq!((root.attributes[0].key.as_str(), text(&root.attributes[0].value).as_str()), ("rpc.method", "Get"));
        assert_eq!((root.attributes[1].key.as_str(), text(&root.attributes[1].value).as_str()), ("empty", ""));
        assert_eq!(root.status, None);
        let status = child.status.as_ref().expect("a status");
        assert_eq!((status.code(), status.message.as_str()), (StatusCode::Error, "trap"));
    }
}
