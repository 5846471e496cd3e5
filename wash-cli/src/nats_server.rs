//! The NATS server that `wash up` brings along: which program it is, whether one answers already, who may use it, start and
//! stop.
//!
//! Knows processes and files, nothing of hosts or lattices: when to stop the server is decided by others. Invariants: a
//! process is only ever signalled after its command line has been seen to be the server of that very directory; the
//! credentials of a server are sent to it alone.

mod find;
mod login;
mod private;
mod probe;
mod process;

use host::LocalNats;
use lattice::client::NatsOptions;

use crate::home::Home;

pub use find::{Program, WAYS_TO_GET, find};
pub use login::{Login, forget};
pub use probe::{Probe, probe};
pub use process::{ServerDir, ServerLock, ServerOptions, tail};

/// The oldest NATS server that will do.
pub const OLDEST: (u64, u64) = (2, 10);

/// What `wash` is called in the server's listings.
pub const CLIENT_NAME: &str = "wash";

/// Whether a server of this version will do.
pub fn is_recent_enough(version: &semver::Version) -> bool {
    (version.major, version.minor) >= OLDEST
}

/// Where the options can mean a server that `wash up` started, and that server runs: uses its credentials. While it runs,
/// no other one can have its address.
pub fn log_in(options: &mut NatsOptions, home: &Home) -> bool {
    let Some(local) = LocalNats::meant_by(options, home.root()) else { return false };
    let server = ServerDir::of(local);
    match server.running().and_then(|_| server.local().creds()) {
        Some(creds) => {
            server.local().log_in(creds, options);
            true
        }
        None => false,
    }
}

/// What to do about a server of this machine that does not know us.
pub fn whose_server(port: u16) -> String {
    format!(
        "it was started by another user, or with another `WASH_HOME`: its credentials are in `nats-{port}/wash.creds` there \
         (`--ctl-credsfile`, for a host `--nats-creds`); or use another port (`wash up --nats-port`)"
    )
}
