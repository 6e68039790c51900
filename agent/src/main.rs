//! The binary: parses, hands over, maps errors to exit codes.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use palomar_agent::config::{Cli, Command, LogFormat, RunArgs};
use palomar_agent::{app, check};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let Cli { command, run } = Cli::parse();
    let result = match command {
        None => log(&run).and_then(|()| app::run(&run)),
        Some(Command::Check(kernel)) => check::check(&kernel.bpf_dir),
        Some(Command::Audit(kernel)) => check::audit(&kernel.bpf_dir),
        Some(Command::Clean(kernel)) => check::clean(&kernel.bpf_dir),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("palomar-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn log(args: &RunArgs) -> anyhow::Result<()> {
    let filter = EnvFilter::builder().parse(&args.log).map_err(|error| {
        anyhow::anyhow!(
            "log filter {:?}: {error}; choose a level (error, warn, info, debug, trace) or directives",
            args.log
        )
    })?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(())
}
