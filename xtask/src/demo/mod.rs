//! `cargo xtask demo`: the main job, with the real release `wash`, in a directory of its own.
//!
//! This file owns the order: prepare, run the steps, stay if asked, put everything away, say how long it took. What a
//! step does is in `steps`; where it does it is the `World`, which leaves nothing behind however the demo ends.

mod load;
mod processes;
mod steps;
mod wait;
mod world;

use std::time::Instant;

use anyhow::Result;
use world::World;

use crate::{actors, tools, workspace};

/// Flags of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    tools: tools::Args,
    /// End after the last step instead of staying up until Ctrl-C.
    #[arg(long)]
    once: bool,
}

/// Runs the command.
///
/// # Errors
/// When something cannot be built, a step does not do what it says, or something is left behind.
pub fn run(args: &Args) -> Result<()> {
    let started = Instant::now();
    let tools = tools::provide(&args.tools)?;
    actors::build()?;
    workspace::run_visibly(workspace::cargo(workspace::root()).args(["build", "--release", "--package", "wash-cli"]))?;
    let built = started.elapsed();

    let started = Instant::now();
    let mut world = World::create(&workspace::binary("release", "wash"), &tools.nats_server)?;
    let outcome = play(&mut world, args.once);
    if outcome.is_err() {
        world.show_logs();
    }
    let left = world.put_away();
    outcome?;
    left?;
    println!("\ndemo: done. build {:.1} s, run {:.1} s", built.as_secs_f64(), started.elapsed().as_secs_f64());
    Ok(())
}

fn play(world: &mut World, once: bool) -> Result<()> {
    world.introduce();
    for (number, (title, step)) in steps::ALL.iter().enumerate() {
        println!("\n== {}. {title}\n", number + 1);
        step(world)?;
    }
    if !once {
        steps::stay(world)?;
    }
    println!("\n== {}. Down\n", steps::ALL.len() + 1);
    steps::down(world)
}
