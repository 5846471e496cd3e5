//! Sign, start, link, ask: the reason for everything else.

use anyhow::{Result, ensure};

use super::{World, seen};

pub(super) fn sign(world: &mut World) -> Result<()> {
    for actor in ["echo", "hello"] {
        world.wash(["claims", "sign", &format!("{actor}.wasm"), "--name", actor, "--http_server"])?;
    }
    Ok(())
}

pub(super) fn start(world: &mut World) -> Result<()> {
    let port = &world.nats_port.to_string();
    world.wash([
        "ctl",
        "start",
        "provider",
        "builtin://httpserver",
        "--host-id",
        &world.host("a").id,
        "--ctl-port",
        port,
    ])?;
    for actor in ["echo", "hello"] {
        let file = format!("./{actor}_s.wasm");
        world.wash(["ctl", "start", "actor", &file, "--constraint", "zone=b", "--ctl-port", port])?;
    }
    let (a, b) = (seen::actors_of(world, &world.host("a").id)?, seen::actors_of(world, &world.host("b").id)?);
    ensure!(a.is_empty() && b.len() == 2, "both actors should be on B: A runs {a:?}, B runs {b:?}");
    println!("host A runs the provider and no actor; host B runs {}", b.join(" and "));
    Ok(())
}

pub(super) fn link(world: &mut World) -> Result<()> {
    let provider = seen::provider_of(world, &world.host("a").id)?;
    for (name, address) in [("echo", world.echo), ("hello", world.hello)] {
        let actor = seen::actor(world, name)?;
        let (port, value) = (world.nats_port.to_string(), format!("address={address}"));
        world.wash(["ctl", "link", "put", &actor, &provider, "wasmcloud:httpserver", &value, "--ctl-port", &port])?;
    }
    seen::curl(world.echo, "/from?host=b", "\"host=b\"")?;
    seen::curl(world.hello, "/from/b", "/from/b")?;
    println!("asked at host A, answered on host B, which alone runs them: {}", seen::time_of_requests(world.echo)?);
    Ok(())
}

pub(super) fn bring_home(world: &mut World) -> Result<()> {
    let (a, port) = (&world.host("a").id, &world.nats_port.to_string());
    world.wash(["ctl", "start", "actor", "./echo_s.wasm", "--host-id", a, "--ctl-port", port])?;
    ensure!(seen::actors_of(world, a)? == ["echo"], "host A should run `echo` now");
    seen::curl(world.echo, "/from?host=a", "\"host=a\"")?;
    println!("asked at host A, answered on host A, in process: {}", seen::time_of_requests(world.echo)?);
    Ok(())
}
