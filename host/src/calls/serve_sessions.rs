//! Calls that come in sessions with other hosts. What one may do is decided in `arrive`; here is only what connects the two.

use std::time::Instant;

use bytes::Bytes;
use claims::HostId;
use lattice::{client::Noted, session::CallEntry};
use sessions::{Failed, ServeCall};

use super::{arrive::serve_session_call, face::Calls};
use crate::process::clock::unix_now;

impl ServeCall for Calls {
    async fn serve(&self, call: CallEntry, deadline: Instant) -> Result<Bytes, Failed> {
        let served = serve_session_call(self, call, deadline).await;
        served.map_err(|(begun, error)| Failed { begun, error })
    }

    fn takes_sessions(&self) -> bool {
        !self.life.is_stopping()
    }

    fn is_member(&self, host: &HostId) -> bool {
        self.peers.is_member(host)
    }

    fn heard(&self, taken: Noted) {
        self.inbound.replays.heard(taken, unix_now());
    }
}
