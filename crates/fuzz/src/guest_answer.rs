//! What guests answer to an HTTP request: a message of any bytes, a head with as many fields as the input says, and a
//! body in frames that may break off.
//!
//! The laws: an answer is taken or refused by its kind, never by a panic of the library that holds it; looking at one and
//! decoding it agree; what was taken is within the bounds; a body that says why it breaks off is believed.

use std::{
    error::Error,
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use contracts::{
    CallError, codec,
    http_message::{
        HttpBody, MOST_FIELD_BYTES, MOST_FIELDS, check_head, check_response, decode_response, encode_response,
    },
    httpserver::{Headers, HttpResponse},
};
use http::Response;
use http_body::{Body, Frame};
use http_body_util::BodyExt;

/// Most bytes of a body in one message.
const LIMIT: u32 = 1000;

/// An answer of a guest. The first byte says of which sort.
pub fn guest_answer(data: &[u8]) {
    match data.split_first() {
        Some((sort, rest)) if sort % 3 == 0 => message(rest),
        Some((sort, rest)) if sort % 3 == 1 => head(rest),
        Some((_, rest)) => frames(rest),
        None => message(data),
    }
}

fn message(data: &[u8]) {
    let looked = check_response(data).map_err(code);
    for to_head in [false, true] {
        let decoded = decode_response(data, to_head);
        if let Ok(response) = &decoded {
            assert!(!response.status().is_informational());
            assert!(check_head(response.headers()).is_ok());
        }
        assert_eq!(decoded.map(drop).map_err(code), looked);
    }
}

/// A head by its numbers: status, fields, values of each, length of names and of values.
fn head(data: &[u8]) {
    let mut numbers =
        data.chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair.get(1).copied().unwrap_or_default()]));
    let mut next = || numbers.next().unwrap_or_default();
    let (status_code, fields, values) = (next(), usize::from(next()), usize::from(next() % 4));
    let (name, value) = ("n".repeat(usize::from(next() % 64)), "v".repeat(usize::from(next() % 1024)));
    let header: Headers = (0..fields).map(|number| (format!("{name}{number}"), vec![value.clone(); values])).collect();
    let bytes: usize = header.keys().map(|name| values * (name.len() + value.len())).sum();
    let fits = fields <= MOST_FIELDS && fields * values <= MOST_FIELDS && bytes <= MOST_FIELD_BYTES;
    let message = codec::encode(&HttpResponse { status_code, header, body: Vec::new() }).expect("plain data");
    let decoded = decode_response(&message, false);
    assert_eq!(decoded.is_ok(), fits && (200..1000).contains(&status_code), "{decoded:?}");
    assert_eq!(check_response(&message).is_ok(), decoded.is_ok());
}

/// Frames of a body by one byte each: how long it is, or how the body ends.
fn frames(data: &[u8]) {
    let body = Frames(Vec::from(data).into_iter());
    let (mut length, mut expected) = (0, None);
    for byte in data {
        expected = match byte {
            0xff => Some(Err("malformed".to_owned())),
            0xfe => Some(Err("trap".to_owned())),
            _ => {
                length += usize::from(*byte);
                (length > LIMIT as usize).then(|| Err("limit_exceeded".to_owned()))
            }
        };
        if expected.is_some() {
            break;
        }
    }
    let body: HttpBody = body.boxed_unsync();
    let mut encoding = pin!(encode_response(Response::new(body), LIMIT));
    let Poll::Ready(encoded) = encoding.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("a body that is there is waited for");
    };
    let encoded =
        encoded.map(|message| decode_response(&message, false).expect("ours").into_body().size_hint().exact());
    assert_eq!(encoded.map_err(code), expected.unwrap_or(Ok(Some(length as u64))));
}

struct Frames(std::vec::IntoIter<u8>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.next().map(|byte| match byte {
            0xff => Err("lost".into()),
            0xfe => Err(CallError::Trap { message: "unreachable".to_owned() }.into()),
            length => Ok(Frame::data(Bytes::from(vec![b'x'; length.into()]))),
        }))
    }
}

fn code(error: CallError) -> String {
    error.code().to_owned()
}
