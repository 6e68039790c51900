//! The demo: a policy that denies, a policy that allows, and what Palomar tells about both.

mod files;
mod shape;
mod stage;
mod story;

use crate::args::DemoArgs;
use crate::interrupt::{Interrupt, Interrupted};

use stage::Stage;

/// Plays the story. An outcome that differs from the story's is an error.
pub fn run(args: &DemoArgs, interrupt: &Interrupt) -> anyhow::Result<()> {
    let mut stage = Stage::build(args, interrupt)?;
    let told = stage.start().and_then(|()| story::tell(&mut stage));
    match &told {
        // the interrupt removes everything, whatever was asked for
        Err(error) if error.is::<Interrupted>() => stage.remove()?,
        Err(error) => {
            println!("\nThis is not how the story goes: {error:#}");
            stage.show_agent_log();
            stage.finish(args.keep)?;
        }
        Ok(()) => {
            println!("\nEvery outcome was as told.");
            stage.finish(args.keep)?;
        }
    }
    told
}
