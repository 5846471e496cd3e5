//! Arguments and answers of `wash call`: JSON for people, MessagePack for actors.

use std::{fmt, io::Cursor};

use serde::{
    Deserializer,
    de::{DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value, json};

use crate::terminal::{
    failure::{Failure, OrFail, Result},
    output::Output,
};

/// How bytes in an answer are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Bytes {
    /// As a list of numbers.
    #[value(name = "b")]
    Numbers,
    /// As text.
    #[value(name = "s")]
    Text,
    /// As both.
    #[value(name = "2")]
    Both,
}

/// Turns the JSON argument into MessagePack. No argument is an empty message.
///
/// # Errors
/// It is no JSON.
pub fn from_json(text: &str) -> Result<bytes::Bytes> {
    if text.trim().is_empty() {
        return Ok(bytes::Bytes::new());
    }
    let value: Value = serde_json::from_str(text)
        .while_doing(|| "the argument is no JSON".to_owned())
        .hint(|| "put it in quotes: '{\"name\": \"value\"}'".to_owned())?;
    let message = rmp_serde::to_vec_named(&value).map_err(|error| Failure::new(error.to_string()))?;
    Ok(message.into())
}

/// Shows an answer: as JSON when it is MessagePack, else as it came.
pub fn show(answer: &[u8], bytes: Bytes) -> Output {
    if answer.is_empty() {
        return Output::text("").with("response", Value::Null);
    }
    match decode(answer, bytes) {
        Some(response) => {
            let text = match &response {
                Value::String(text) => text.clone(),
                other => format!("{other:#}"),
            };
            Output::text(text).with("response", response)
        }
        None => Output::raw(answer.to_vec()).with("response", String::from_utf8_lossy(answer).into_owned()),
    }
}

/// The one value that the whole answer is, if it is one.
fn decode(answer: &[u8], bytes: Bytes) -> Option<Value> {
    // A prefix byte of older actors: MessagePack follows.
    let body = answer.strip_prefix(&[0xc1]).unwrap_or(answer);
    let mut decoder = rmp_serde::Deserializer::new(Cursor::new(body));
    decoder.set_max_depth(contracts::codec::MAX_DEPTH);
    let value = Shown(bytes).deserialize(&mut decoder).ok()?;
    (decoder.position() == body.len() as u64).then_some(value)
}

/// Decodes anything into JSON; JSON itself has no bytes, and only texts as keys.
#[derive(Clone, Copy)]
struct Shown(Bytes);

impl<'de> DeserializeSeed<'de> for Shown {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shown {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(json!(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(json!(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(json!(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(json!(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(json!(text))
    }

    fn visit_bytes<E>(self, binary: &[u8]) -> Result<Value, E> {
        Ok(show_bytes(binary, self.0))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key_seed(self)? {
            let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
            object.insert(key, entries.next_value_seed(self)?);
        }
        Ok(Value::Object(object))
    }
}

fn show_bytes(binary: &[u8], bytes: Bytes) -> Value {
    let text = || Value::from(String::from_utf8_lossy(binary).into_owned());
    match bytes {
        Bytes::Numbers => json!(binary),
        Bytes::Text => text(),
        Bytes::Both => json!({ "str": text(), "bin": binary }),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn json_goes_out_and_comes_back() {
        let message = from_json(r#"{"method":"GET","n":[1,-2,1.5,true,null],"big":18446744073709551615}"#).unwrap();
        let expected = json!({"method": "GET", "n": [1, -2, 1.5, true, null], "big": u64::MAX});
        assert_eq!(decode(&message, Bytes::Numbers), Some(expected));
        assert!(from_json("").unwrap().is_empty());
        assert!(from_json("{").unwrap_err().next_step().is_some());
    }

    #[test]
    fn bytes_are_shown_as_asked_for() {
        let answer = b"\x81\xa4body\xc4\x02hi";
        assert_eq!(decode(answer, Bytes::Numbers), Some(json!({"body": [104, 105]})));
        assert_eq!(decode(answer, Bytes::Text), Some(json!({"body": "hi"})));
        assert_eq!(decode(answer, Bytes::Both), Some(json!({"body": {"str": "hi", "bin": [104, 105]}})));
    }

    #[test]
    fn what_is_not_messagepack_is_passed_through() {
        assert_eq!(decode(b"\x01rest of a text", Bytes::Text), None);
        assert_eq!(show(b"\xc1", Bytes::Text), Output::raw(vec![0xc1]).with("response", "\u{fffd}"));
        let nested = vec![0x91; 100_000];
        assert_eq!(decode(&nested, Bytes::Text), None, "a bomb of nested lists is no answer");
    }
}
