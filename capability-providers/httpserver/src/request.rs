//! Requests before any actor sees them: those that none should see, and the others in the form that actors get.
//!
//! Invariant: what a stranger sends is refused here with 4xx, or is something that every actor, module or
//! component, can
//! be given; it is never a fault of the host.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use http_body::Body;
use provider_sdk::{HttpBody, contracts::http_message::names_authority};

use crate::{
    answer::{bad_request, refusal},
    limits::Limits,
};

/// The answer to a request that no actor should see.
pub fn refused<B>(request: &Request<B>, limits: &Limits) -> Option<Response<HttpBody>> {
    if head_bytes(request) > limits.header_bytes {
        return Some(head_too_large(limits));
    }
    match names_authority(request.uri(), request.headers()) {
        Err(error) => return Some(bad_request(&error.to_string())),
        Ok(false) if request.version() >= Version::HTTP_11 => return Some(bad_request("no `host`")),
        Ok(_) => {}
    }
    if request.uri().path().starts_with('/') { None } else { Some(bad_request("the request target is not a path")) }
}

/// The answer to a head that is too large.
pub fn head_too_large(limits: &Limits) -> Response<HttpBody> {
    let sentence = format!("the head of the request exceeds {} bytes or 100 fields", limits.header_bytes);
    refusal(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", &sentence)
}

/// What the head takes as HTTP/1.1, nearly: the shortest form in which it could have been sent.
fn head_bytes<B>(request: &Request<B>) -> usize {
    let uri = request.uri();
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    let target = uri.path_and_query().map_or(0, |path| path.as_str().len()) + authority;
    let fields: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 3).sum();
    request.method().as_str().len() + target + fields + 14
}

/// The request as actors get it: a path as target, and a `host` header.
pub fn for_actor<B: Body<Data = Bytes>>(request: Request<B>) -> Request<B> {
    let (mut parts, body) = request.into_parts();
    if parts.uri.authority().is_some() {
        let uri = std::mem::take(&mut parts.uri).into_parts();
        // Where target and header differ, the target counts, also for routing.
        if let Some(Ok(host)) = uri.authority.map(|authority| HeaderValue::from_str(authority.as_str())) {
            parts.headers.insert(header::HOST, host);
        }
        parts.uri = uri.path_and_query.map_or_else(|| Uri::from_static("/"), Uri::from);
    }
    Request::from_parts(parts, body)
}
