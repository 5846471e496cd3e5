//! What must keep working when something dies.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::{
    World,
    seen::{self, SOON},
    until,
};
use crate::{demo::load::Load, http};

pub(super) fn nats_restarts(world: &mut World) -> Result<()> {
    let server = world.process("nats-server")?;
    println!("$ kill {}   # nats-server", server.pid);
    server.signal(Signal::TERM);
    server.wait_gone(world.path(), SOON)?;

    seen::curl(world.echo, "/while?nats=away", "\"nats=away\"")?;
    println!("without NATS, host A still answers for the actor it runs itself");
    println!("$ curl http://{}/", world.hello);
    let response = http::get(world.hello, "/", SOON).context("a request for an actor out of reach must be answered")?;
    ensure!(response.status >= 500, "host B is out of reach, but the status is {}", response.status);
    println!("{}\n", response.body.trim());
    println!("and says at once that the actor on host B is out of reach (status {})", response.status);
    let port = world.nats_port.to_string();
    let outcome = world.try_wash(["ctl", "get", "hosts", "--ctl-port", &port])?;
    ensure!(!outcome.success, "a server that was named is away, and something else was asked");
    world.wash(["ctl", "get", "hosts", "--no-nats"])?;

    start_nats_again(world, &server)?;
    until("both hosts in the lattice again", SOON, || match seen::hosts(world) {
        Ok(hosts) if hosts.len() == 2 => Ok(()),
        Ok(hosts) => Err(format!("{hosts:?}")),
        Err(error) => Err(format!("{error:#}")),
    })?;
    seen::curl(world.hello, "/after", "/after")?;
    println!("the lattice is whole again: asked at host A, answered on host B");
    Ok(())
}

/// As `wash up` had started it, plus the file that tells `wash down` which process it is.
fn start_nats_again(world: &World, stopped: &crate::demo::processes::Process) -> Result<()> {
    let config =
        stopped.args.iter().find(|word| word.ends_with("nats.conf")).context("NATS runs without `nats.conf`")?;
    let pid_file = Path::new(config).with_file_name("nats.pid");
    world.start(stopped.args.iter().cloned().chain(["--pid".to_owned(), pid_file.to_string_lossy().into_owned()]))
}

pub(super) fn host_b_is_killed(world: &mut World) -> Result<()> {
    let b = world.host("b").clone();
    let load = Load::start(world.echo, "/load");
    let outcome = kill_under_load(world, &b);
    let tally = load.stop();
    outcome?;
    world.wash(["ctl", "get", "hosts", "--ctl-port", &world.nats_port.to_string()])?;
    println!(
        "host A: {} requests, {} failed, median {:.2} ms",
        tally.requests(),
        tally.failures.len(),
        tally.median().as_secs_f64() * 1e3
    );
    ensure!(tally.failures.is_empty(), "requests to the surviving host failed: {}", tally.failures.join(", "));
    ensure!(tally.requests() > 100, "too few requests to mean anything");
    Ok(())
}

fn kill_under_load(world: &World, host: &crate::demo::world::Host) -> Result<()> {
    println!("requests run against http://{}/ from 4 threads", world.echo);
    println!("$ kill -9 {}   # host B", host.process.pid);
    host.process.signal(Signal::KILL);
    host.process.wait_gone(world.path(), SOON)?;
    until("host B gone from the lattice", SOON, || match seen::hosts(world) {
        Ok(hosts) if hosts.len() == 1 => Ok(()),
        Ok(hosts) => Err(format!("{hosts:?}")),
        Err(error) => Err(format!("{error:#}")),
    })
}
