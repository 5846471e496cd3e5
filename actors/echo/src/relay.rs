//! `Echo.Relay`: one actor calls another, so that tests and benches can watch it happen.

use contracts::codec;
use serde::Deserialize;

use actor_sdk::wapc;

/// The operation.
pub const OPERATION: &str = "Echo.Relay";

/// Whom to call with what.
#[derive(Deserialize)]
struct Relay {
    /// Public key or call alias.
    actor: String,
    operation: String,
    #[serde(with = "serde_bytes")]
    payload: Vec<u8>,
}

/// Makes the call; a failure of it is ours.
pub fn relay(payload: &[u8]) -> Result<Vec<u8>, String> {
    let relay: Relay = codec::decode("relay request", payload).map_err(|error| error.to_string())?;
    wapc::host_call("", &relay.actor, &relay.operation, &relay.payload)
}
