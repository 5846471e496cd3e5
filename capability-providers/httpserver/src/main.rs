//! `wash-httpserver`: the HTTP server provider as a process of its own, started by a host.

use std::process::ExitCode;

fn main() -> ExitCode {
    provider_sdk::run(provider_httpserver::BUILTIN)
}
