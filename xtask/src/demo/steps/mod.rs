//! What the demo shows, in order. Each step runs `wash`, then checks for itself that what it announced is so.
//!
//! A step is a function on the [`World`]; what one step finds out and a later one needs is in the world.

mod faults;
mod grow;
mod knowledge;
mod main_job;
mod seen;

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{wait::until, world::World};

/// A step: its title, and what it does.
type Step = (&'static str, fn(&mut World) -> Result<()>);

/// Every step of the demo but the last, [`down`].
pub(super) const ALL: &[Step] = &[
    ("Host A: NATS with JetStream, then a host", grow::host_a),
    ("Host B joins the same lattice, with its own labels and state", grow::host_b),
    ("Two actors are signed; the keys are made on the way", main_job::sign),
    ("A provider on host A, the actors on host B, found by auction", main_job::start),
    ("Links; a request to host A is answered by the actor on host B", main_job::link),
    ("The actor on A too: the next answers come from A, in process", main_job::bring_home),
    ("What the lattice knows", knowledge::show),
    ("An unsigned actor is refused", knowledge::refuse_unsigned),
    ("NATS is stopped and started again", faults::nats_restarts),
    ("Host B is killed while requests run", faults::host_b_is_killed),
];

/// Stays up until Ctrl-C.
pub(super) fn stay(world: &World) -> Result<()> {
    println!("\n== The lattice stays up. Try:\n");
    println!("  curl http://{}/any/path", world.echo);
    println!("\nCtrl-C puts everything away.");
    while !world.was_interrupted() {
        std::thread::park_timeout(Duration::from_millis(100));
    }
    world.forget_interruption();
    Ok(())
}

/// `wash down`, and nothing is left: neither a process nor a port.
pub(super) fn down(world: &mut World) -> Result<()> {
    world.wash(["down", "--all", "--ctl-port", &world.nats_port.to_string()])?;
    until("end of everything", Duration::from_secs(5), || {
        let remains = world.remains();
        if remains.is_empty() { Ok(()) } else { Err(remains.join(", ")) }
    })?;
    println!(
        "no process is left, and ports {}, {} and {} are free",
        world.nats_port,
        world.echo.port(),
        world.hello.port()
    );
    world.put_away()?;
    ensure!(world.is_put_away(), "the world is put away");
    println!("no file is left");
    Ok(())
}
