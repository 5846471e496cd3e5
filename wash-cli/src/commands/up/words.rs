//! What is said about a host that comes up: what it is, what it cannot do, and what to do next.

use std::path::Path;

use lattice::subject::ControlRoot;

use super::plan::{Broker, Plan};
use crate::{
    context::Context,
    machine::hosts_here::{self, LocalHost},
    nats_server::find::WAYS_TO_GET,
    terminal::output::Output,
};

/// What is shown when the host is up.
pub fn announce(name: &str, id: &str, root: &ControlRoot, plan: &Plan, log: Option<&Path>, stop: &str) -> Output {
    let socket = host::socket_path(&plan.state_dir);
    let mut text = format!(
        "Host `{name}` ({id}) is up in lattice `{}`\n  nats    {}\n  socket  {}",
        root.lattice(),
        plan.broker.shown(),
        socket.display(),
    );
    if let Some(creds) = plan.broker.creds() {
        text.push_str(&format!("\n  creds   {} (for other NATS tools)", creds.display()));
    }
    if let Some(log) = log {
        text.push_str(&format!("\n  log     {}", log.display()));
    }
    text.push_str(&format!("\n  stop    {stop}"));
    text.push_str("\n  next    wash start provider builtin://httpserver; wash start actor ./FILE_s.wasm; wash help");
    Output::text(text)
        .with("host_id", id)
        .with("friendly_name", name)
        .with("lattice", root.lattice().as_str())
        .with("nats_url", plan.broker.url())
        .with("nats_creds", plan.broker.creds().map(|creds| creds.to_string_lossy().into_owned()))
        .with("socket", socket.to_string_lossy())
        .with("state_dir", plan.state_dir.to_string_lossy())
        .with("wasmcloud_log", log.map(|log| log.to_string_lossy().into_owned()))
        .with("kill_cmd", "wash down")
}

/// A single host is fine, and what it cannot do is said before anybody misses it.
pub async fn say_single(broker: &Broker, root: &ControlRoot, context: &Context) {
    let printer = &context.printer;
    match broker {
        Broker::None { missing: true } => {
            printer.note(
                "note: no nats-server was found, so this is a single host. Actors, links, scaling and built-in\n      \
                 providers all work on it; a second host cannot join before there is a NATS server. Ways to get one:",
            );
            for way in WAYS_TO_GET {
                printer.note(format!("      - {way}"));
            }
        }
        Broker::Awaited { url, .. } => {
            printer.note(format!("note: no NATS server answers at {url}; the host starts without it and waits for it"));
            return;
        }
        Broker::None { missing: false } => {}
        Broker::Present { .. } | Broker::Started { .. } => return,
    }
    let others = hosts_here::answering(&context.home, root).await;
    if !others.is_empty() {
        let names: Vec<&str> = others.iter().map(LocalHost::name).collect();
        printer
            .note(format!("note: this host will not know the one that is running here already ({})", names.join(", ")));
    }
}

/// What it means that the lattice cannot have its buckets.
pub fn say_store(refused: Option<String>, context: &Context) {
    if let Some(reason) = refused {
        context.printer.note(format!(
            "warning: the NATS server does not let this lattice have its buckets ({reason}): links, claims and revocations stay \
             on the host that has them; see `docs/nats.md`"
        ));
    }
}
