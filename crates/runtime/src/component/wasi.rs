//! WASI 0.2 for components, with nothing granted.
//!
//! Interfaces are linked one by one so that streams and polls need only the resource table: the WASI context is made
//! when a guest first asks for a clock, a random number or one of its standard streams. Invariant: no file, no
//! directory, no environment, no socket; output that is not the result goes to the log.

use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::{
    WasiCtx, WasiCtxView, WasiView,
    cli::{WasiCli, WasiCliView},
    clocks::{WasiClocks, WasiClocksView},
    filesystem::{WasiFilesystem, WasiFilesystemView},
    p2::bindings::{LinkOptions, cli, clocks, filesystem, io, random, sockets},
    random::WasiRandom,
    sockets::{WasiSockets, WasiSocketsView},
};

use super::state::ComponentState;
use crate::{
    actor::logs::Level,
    call::{HasCall, stdio::Output},
};

/// Access to the resource table alone.
struct Table;

impl HasData for Table {
    type Data<'a> = &'a mut ResourceTable;
}

/// Every interface this file links, without its version.
pub(super) const INTERFACES: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

type S = ComponentState;

pub(super) fn add_to_linker(l: &mut Linker<S>) -> wasmtime::Result<()> {
    io::error::add_to_linker::<S, Table>(l, |state| &mut state.table)?;
    io::poll::add_to_linker::<S, Table>(l, |state| &mut state.table)?;
    io::streams::add_to_linker::<S, Table>(l, |state| &mut state.table)?;

    clocks::wall_clock::add_to_linker::<S, WasiClocks>(l, S::clocks)?;
    clocks::monotonic_clock::add_to_linker::<S, WasiClocks>(l, S::clocks)?;
    random::random::add_to_linker::<S, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    random::insecure::add_to_linker::<S, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<S, WasiRandom>(l, |state| state.ctx().ctx.random())?;

    cli::exit::add_to_linker::<S, WasiCli>(l, S::cli)?;
    cli::environment::add_to_linker::<S, WasiCli>(l, S::cli)?;
    cli::stdin::add_to_linker::<S, WasiCli>(l, S::cli)?;
    cli::stdout::add_to_linker::<S, WasiCli>(l, S::cli)?;
    cli::stderr::add_to_linker::<S, WasiCli>(l, S::cli)?;
    cli::terminal_input::add_to_linker::<S, WasiCli>(l, S::cli)?;
    cli::terminal_output::add_to_linker::<S, WasiCli>(l, S::cli)?;
    cli::terminal_stdin::add_to_linker::<S, WasiCli>(l, S::cli)?;
    cli::terminal_stdout::add_to_linker::<S, WasiCli>(l, S::cli)?;
    cli::terminal_stderr::add_to_linker::<S, WasiCli>(l, S::cli)?;

    // Linked because language runtimes import them; there is nothing behind them.
    filesystem::types::add_to_linker::<S, WasiFilesystem>(l, S::filesystem)?;
    filesystem::preopens::add_to_linker::<S, WasiFilesystem>(l, S::filesystem)?;
    sockets::network::add_to_linker::<S, WasiSockets>(l, &(&LinkOptions::default()).into(), S::sockets)?;
    sockets::instance_network::add_to_linker::<S, WasiSockets>(l, S::sockets)?;
    sockets::ip_name_lookup::add_to_linker::<S, WasiSockets>(l, S::sockets)?;
    sockets::tcp::add_to_linker::<S, WasiSockets>(l, S::sockets)?;
    sockets::tcp_create_socket::add_to_linker::<S, WasiSockets>(l, S::sockets)?;
    sockets::udp::add_to_linker::<S, WasiSockets>(l, S::sockets)?;
    sockets::udp_create_socket::add_to_linker::<S, WasiSockets>(l, S::sockets)?;
    Ok(())
}

impl WasiView for ComponentState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        if self.wasi.is_none() {
            self.wasi = Some(Box::new(new_context(self)));
        }
        let ctx = self.wasi.as_mut().expect("made above");
        WasiCtxView { ctx, table: &mut self.table }
    }
}

fn new_context(state: &mut ComponentState) -> WasiCtx {
    let mut wasi = WasiCtx::builder();
    wasi.arg("main.wasm");
    wasi.allow_blocking_current_thread(false).allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    if let Err(error) = state.call().actor.local.apply(&mut wasi) {
        // It could be opened when the component was loaded.
        state.call().logs().line(Level::Error, "wasi", &format!("{error}: {}", error.reason));
    }
    wasi.max_random_size(u64::from(state.call().actor.limits.payload_bytes));
    let logs = state.call().logs().clone();
    wasi.stderr(Output::log(logs.clone(), Level::Info, "stderr"));
    match &state.streams {
        Some(streams) => {
            wasi.arg(&streams.operation);
            wasi.stdin(streams.input.clone());
            wasi.stdout(streams.output.clone());
        }
        None => {
            wasi.stdout(Output::log(logs, Level::Info, "stdout"));
        }
    }
    wasi.build()
}
