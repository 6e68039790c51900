//! `palomar-lab`: nodes of network namespaces from the command line.

mod args;
mod bench;
mod demo;
mod endpoint;
mod flows;
mod interrupt;
mod program;
mod up;
mod usage;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Args, Command};
use interrupt::{Interrupt, Interrupted};

/// What a shell reports for a program that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    match run(Args::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("palomar-lab: interrupted, everything is removed");
            ExitCode::from(INTERRUPTED)
        }
        Err(error) => {
            eprintln!("palomar-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Up(args) => up::up(&args, &Interrupt::install()?),
        Command::Down(args) => up::down(&args.names),
        Command::List => up::list(),
        Command::Serve(args) => Ok(palomar_lab::traffic::serve_blocking(args.port, &args.body)?),
        Command::Demo(args) => demo::run(&args, &Interrupt::install()?),
        Command::Flows(args) => flows::run(&args, &Interrupt::install()?),
        Command::Bench(args) => bench::run(&args, &Interrupt::install()?),
    }
}
