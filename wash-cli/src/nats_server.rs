//! The NATS server that `wash up` brings along: which program it is, whether one answers already, who may use it, start and
//! stop.
//!
//! Knows processes and files, nothing of hosts or lattices: when to stop the server is decided by others. Invariants: a
//! process is only ever signalled after its command line has been seen to be the server of that very directory; the
//! credentials of a server are sent to it alone.

pub mod cleanup;
pub mod find;
pub mod login;
mod private;
pub mod probe;
pub mod process;

use host::LocalNats;
use lattice::client::NatsOptions;

use crate::machine::home::Home;

use self::process::ServerDir;

/// What `wash` is called in the server's listings.
pub const CLIENT_NAME: &str = "wash";

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
