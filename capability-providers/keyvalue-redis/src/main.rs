//! `wash-keyvalue-redis`: the key-value provider as a process of its own, started by a host.

use std::process::ExitCode;

fn main() -> ExitCode {
    provider_sdk::run(provider_keyvalue_redis::BUILTIN)
}
