//! Requests cut loose from the connection they came on.
//!
//! Target and header values are slices of the connection's read buffer, of eight KiB and more. As long as one of them is
//! alive the connection needs another buffer, and an actor that keeps a header would keep it all. Invariant: a detached
//! request says the same and shares no memory with its connection.

use std::iter;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, Uri, uri::PathAndQuery};

/// The request with memory of its own, all in one piece.
pub fn detached<B>(mut request: Request<B>) -> Request<B> {
    let is_path = request.uri().authority().is_none();
    let target = request.uri().path_and_query().filter(|_| is_path).map_or(&b""[..], |path| path.as_str().as_bytes());
    let values = || request.headers().values().map(HeaderValue::as_bytes);
    let mut copy = BytesMut::with_capacity(target.len() + values().map(<[u8]>::len).sum::<usize>());
    for part in iter::once(target).chain(values()) {
        copy.extend_from_slice(part);
    }
    let (target, mut copy) = (target.len(), copy.freeze());
    let target = copy.split_to(target);
    // What was a path before is one again, as a value is a value.
    if !target.is_empty()
        && let Ok(path) = PathAndQuery::from_maybe_shared(target)
    {
        *request.uri_mut() = Uri::from(path);
    }
    for value in request.headers_mut().values_mut() {
        own_value(value, copy.split_to(value.len()));
    }
    request
}

fn own_value(value: &mut HeaderValue, copy: Bytes) {
    if let Ok(mut own) = HeaderValue::from_maybe_shared(copy) {
        own.set_sensitive(value.is_sensitive());
        *value = own;
    }
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    fn request(target: &str, buffer: &Bytes) -> Request<()> {
        let (mut request, at) = (Request::new(()), buffer.len() - 12);
        *request.uri_mut() = target.parse().expect("a target");
        for (name, range) in [("host", 0..4), ("accept", 4..4), ("accept", 4..at)] {
            let value = HeaderValue::from_maybe_shared(buffer.slice(range)).expect("a value");
            request.headers_mut().append(name, value);
        }
        let mut secret = HeaderValue::from_maybe_shared(buffer.slice(at..)).expect("a value");
        secret.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, secret);
        request
    }

    #[test]
    fn it_says_the_same_and_holds_nothing_of_the_connection() {
        for target in ["/", "/a/path?and=query", "/?", "*", "http://host.test/absolute?x", "host.test:80"] {
            let buffer = Bytes::from(b"host; caf\xe9, or tea; Bearer 1234".to_vec());
            let (before, after) = (request(target, &buffer), detached(request(target, &buffer)));
            assert_eq!((before.uri(), before.headers()), (after.uri(), after.headers()));
            assert!(after.headers()[header::AUTHORIZATION].is_sensitive());
            drop(before);
            assert!(buffer.is_unique(), "{target}");
        }
    }

    #[test]
    fn the_target_is_of_its_own_too() {
        let buffer = Bytes::from_static(b"/a/path").to_vec();
        let buffer = Bytes::from(buffer);
        let mut request = Request::new(());
        *request.uri_mut() = Uri::from_maybe_shared(buffer.clone()).expect("a target");
        assert!(!buffer.is_unique());
        let request = detached(request);
        assert!(buffer.is_unique());
        assert_eq!(request.uri(), "/a/path");
    }
}
