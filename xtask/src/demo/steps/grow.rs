//! A lattice of two hosts.

use anyhow::{Context, Result, ensure};

use super::{
    World,
    seen::{self, SOON},
    until,
};
use crate::demo::world::Host;

pub(super) fn host_a(world: &mut World) -> Result<()> {
    up(world, "a")
}

pub(super) fn host_b(world: &mut World) -> Result<()> {
    up(world, "b")?;
    world.wash(["ctl", "get", "hosts", "--ctl-port", &world.nats_port.to_string()])?;
    let hosts = seen::hosts(world)?;
    ensure!(hosts.len() == 2, "both hosts should answer, but: {hosts:?}");
    Ok(())
}

fn up(world: &mut World, zone: &'static str) -> Result<()> {
    let before = world.processes();
    let (port, label) = (world.nats_port.to_string(), format!("zone={zone}"));
    let server = world.nats_server.to_string_lossy().into_owned();
    world.wash(["up", "--detached", "--nats-port", &port, "--nats-server", &server, "--label", &label])?;

    let id = until("the new host in the lattice", SOON, || {
        let hosts = seen::hosts(world).map_err(|error| format!("{error:#}"))?;
        hosts.iter().find(|(_, of)| of == zone).map(|(id, _)| id.clone()).ok_or(format!("{hosts:?}"))
    })?;
    let mut new = world.processes().into_iter().filter(|process| process.is("wash") && !before.contains(process));
    let process = new.next().context("`wash up` left no process")?;
    world.hosts.push(Host { zone, id, process });
    Ok(())
}
