//! What operators ask, and what they are told when something is not allowed.

use anyhow::{Result, ensure};

use super::{World, seen};

pub(super) fn show(world: &mut World) -> Result<()> {
    let (a, port) = (&world.host("a").id, &world.nats_port.to_string());
    world.wash(["ctl", "scale", "actor", a, "./echo_s.wasm", "--max-instances", "20", "--ctl-port", port])?;
    for question in [
        &["ctl", "get", "hosts"][..],
        &["ctl", "get", "inventory"],
        &["ctl", "get", "claims"],
        &["ctl", "link", "query"],
    ] {
        world.wash(question.iter().copied().chain(["--ctl-port", port]))?;
    }
    Ok(())
}

pub(super) fn refuse_unsigned(world: &mut World) -> Result<()> {
    let (a, port) = (&world.host("a").id, &world.nats_port.to_string());
    let outcome = world.try_wash(["ctl", "start", "actor", "./hello.wasm", "--host-id", a, "--ctl-port", port])?;
    ensure!(!outcome.success, "an unsigned actor was started");
    ensure!(outcome.text.contains("wash claims sign"), "the refusal should say what to do");
    ensure!(seen::actors_of(world, a)? == ["echo"], "host A should run `echo` and nothing else");
    println!("refused, with exit code 1, and nothing else changed");
    Ok(())
}
