//! The control socket: the control interface, calls to local actors and the event stream for this machine, over
//! HTTP/1.1 on a Unix socket that only its owner may open (design invariant 4).
//!
//! `POST /{subject}` answers 200 with the reply, 204 where the protocol wants silence, 404 where nobody serves the
//! subject. `GET /events` streams one CloudEvent per line. Works whether or not NATS is there.

use std::{
    convert::Infallible,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use lattice::{
    client::{EVENTS_PATH, MAX_SOCKET_BODY, SOCKET_ERROR_HEADER, SocketPath},
    subject::{ControlSubject, RpcSubject},
};
use percent_encoding::percent_decode_str;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::broadcast::error::RecvError,
};

use super::{
    dispatch::{dispatch, is_for_us},
    face::Control,
};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Opens the socket; a stale one is replaced. Only the owner may connect.
///
/// # Errors
/// The system's reason.
pub fn open(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(SocketPath::of(path)?.as_path())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves until the host stops, then removes the socket.
pub async fn serve(control: Arc<Control>, listener: UnixListener, path: PathBuf) {
    loop {
        tokio::select! {
            () = control.life.stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    control.life.spawn(connection(control.clone(), stream));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the control socket");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            },
        }
    }
    fs::remove_file(path).ok();
}

async fn connection(control: Arc<Control>, stream: UnixStream) {
    let stop = control.life.stop.clone();
    let service = service_fn(move |request| {
        let control = control.clone();
        async move { Ok::<_, Infallible>(answer(control, request).await) }
    });
    let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "control socket connection ended");
    }
}

async fn answer(control: Arc<Control>, request: Request<Incoming>) -> Response<Body> {
    let Ok(path) = percent_decode_str(request.uri().path()).decode_utf8().map(std::borrow::Cow::into_owned) else {
        return text(StatusCode::BAD_REQUEST, "the subject is not UTF-8");
    };
    match *request.method() {
        Method::GET if path == EVENTS_PATH => events(&control),
        Method::POST => {
            let (parts, body) = request.into_parts();
            match Limited::new(body, MAX_SOCKET_BODY).collect().await {
                Ok(body) => post(control, path.trim_start_matches('/'), &parts.headers, body.to_bytes()).await,
                Err(_) => text(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large or was cut off"),
            }
        }
        _ => text(StatusCode::METHOD_NOT_ALLOWED, "POST a subject, or GET /events"),
    }
}

async fn post(control: Arc<Control>, subject: &str, headers: &http::HeaderMap, body: Bytes) -> Response<Body> {
    if let Ok(RpcSubject::Actor(actor)) = RpcSubject::parse(&control.identity.lattice, subject) {
        return match control.calls.serve_local(&actor, headers, body).await {
            Some((reply, code)) => reply_with(StatusCode::OK, reply, code),
            None => text(StatusCode::NOT_FOUND, "the actor does not run on this host"),
        };
    }
    match ControlSubject::parse(&control.root, subject) {
        Ok(parsed) if is_for_us(&control, &parsed) => match dispatch(&control, subject, &body).await {
            Some(reply) => reply_with(StatusCode::OK, reply.into(), None),
            None => reply_with(StatusCode::NO_CONTENT, Bytes::new(), None),
        },
        Ok(_) => text(StatusCode::NOT_FOUND, "another host is meant"),
        Err(error) => text(StatusCode::NOT_FOUND, &error.to_string()),
    }
}

/// The events from now on. A listener that falls behind misses the oldest and is told so in the log.
fn events(control: &Arc<Control>) -> Response<Body> {
    let listener = control.events.listen();
    let stop = control.life.stop.clone();
    let lines = stream::unfold((listener, stop), |(mut listener, stop)| async move {
        loop {
            let event = tokio::select! {
                event = listener.recv() => event,
                () = stop.cancelled() => listener.try_recv().map_err(|_| RecvError::Closed),
            };
            match event {
                Ok(event) => {
                    let mut line = BytesMut::from(event.as_ref());
                    line.extend_from_slice(b"\n");
                    return Some((line.freeze(), (listener, stop)));
                }
                Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "a listener is too slow for the events"),
                Err(RecvError::Closed) => return None,
            }
        }
    });
    Response::new(StreamBody::new(lines.map(|line| Ok(Frame::data(line)))).boxed_unsync())
}

fn reply_with(status: StatusCode, body: Bytes, error_code: Option<String>) -> Response<Body> {
    let mut response = Response::new(Full::new(body).boxed_unsync());
    *response.status_mut() = status;
    if let Some(value) = error_code.and_then(|code| code.parse().ok()) {
        response.headers_mut().insert(SOCKET_ERROR_HEADER, value);
    }
    response
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    reply_with(status, Bytes::from(text.to_owned()), None)
}
