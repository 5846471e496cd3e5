//! What sends and receives: NATS, the control socket, calls between entities.
//!
//! Owns transports and deadlines; subjects and messages come from the rest of the crate. Invariant: every method ends,
//! with an answer or with an error that says what was being done.

mod bodies;
mod connect;
mod control;
mod creds;
mod denials;
mod error;
mod events;
mod headers;
mod inbox;
mod operations;
mod replay;
mod responder;
mod roll;
mod rpc;
mod server;
mod socket;
mod socket_path;
pub mod taken;
mod tls;

pub use self::{
    bodies::StoredBody,
    connect::{ConnectionEvent, NatsOptions, connect, connect_observed, connect_watched},
    control::{ControlClient, Gathered},
    creds::{Creds, CredsError, MAX_CREDS_FILE},
    denials::{Denials, Forbidden, Use},
    error::{ConnectError, ControlError},
    events::EventStream,
    inbox::{ALL_INBOXES_BYTES, CALLS_INBOX_BYTES, INBOX_BYTES, Inbox},
    replay::{Memory, MemoryBounds, Noted, ReplayGuard, Replayed, Seen},
    responder::{Incoming, Rejected, ReplyTo, RpcResponder},
    rpc::{Delegated, Lost, RpcClient},
    server::{AddressError, AddressProblem, DEFAULT_PORT, Server, Servers},
    socket::{
        ERROR_HEADER as SOCKET_ERROR_HEADER, EVENTS_PATH, MAX_BODY as MAX_SOCKET_BODY, SocketClient, SocketError,
        SocketReply,
    },
    socket_path::SocketPath,
    tls::TlsProblem,
};
