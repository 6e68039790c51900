//! `palomar`, the command line: flags → request, response → text.
//!
//! * [`arguments`]: what was given, split by clap.
//! * [`observe`], [`status`], [`identity`], [`endpoint`], [`list`]: the commands.
//! * [`render`]: flows as text, one file a format.
//! * [`time`]: times and durations as users write and read them.

#![forbid(unsafe_code)]

pub mod arguments;
pub mod connection;
pub mod endpoint;
pub mod identity;
pub mod list;
mod log;
pub mod observe;
mod palomar_api;
pub mod render;
mod rpc;
pub mod status;
mod surroundings;
pub mod time;
mod version;

use std::io::{self, ErrorKind};

use anyhow::{Result, bail};

use arguments::{Parsed, UsageError};
pub use surroundings::Surroundings;

/// Flags that may come from the environment, as `PALOMAR_SERVER` or `HUBBLE_SERVER`.
const FROM_ENVIRONMENT: [&str; 6] =
    ["server", "timeout", "request-timeout", "debug", "allowlist", "denylist"];

/// Runs a command line, given without the name of the program. Returns the exit code: 0, or 1 with the reason on
/// stderr. A reader of the output who has gone away is no failure.
pub async fn run(words: &[String], surroundings: &mut Surroundings<'_>) -> u8 {
    let outcome = match dispatch(words, surroundings).await {
        Ok(()) => surroundings.out.flush().map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => 0,
        Err(error) if is_broken_pipe(&error) => 0,
        Err(error) => {
            // nobody is left to tell if this fails as well
            let _ = surroundings.out.flush();
            let _ = writeln!(surroundings.err, "{error:#}");
            1
        }
    }
}

async fn dispatch(words: &[String], surroundings: &mut Surroundings<'_>) -> Result<()> {
    let mut parsed = arguments::parse(words)?;
    if parsed.given.switch("help")?.unwrap_or(false) {
        return print_help(&parsed.command, surroundings);
    }
    parsed.given.complete(&FROM_ENVIRONMENT, |flag| surroundings.flag_variable(flag));
    let command: Vec<&str> = parsed.command.iter().map(String::as_str).collect();
    match command.as_slice() {
        [] if parsed.given.switch("version")?.unwrap_or(false) => version::print(surroundings),
        ["version"] => version::print(surroundings),
        ["observe"] => observe::run(&parsed, surroundings).await,
        ["status"] => status::run(&parsed, surroundings).await,
        ["identity", "get"] => identity::get(&parsed, surroundings).await,
        ["identity", "list"] => identity::list(&parsed, surroundings).await,
        ["endpoint", "list"] => endpoint::list(&parsed, surroundings).await,
        ["list", "nodes"] => list::nodes(&parsed, surroundings).await,
        ["list", "namespaces"] => list::namespaces(&parsed, surroundings).await,
        ["help"] => help_on(&parsed, surroundings),
        _ => print_help(&parsed.command, surroundings),
    }
}

fn help_on(parsed: &Parsed, surroundings: &mut Surroundings<'_>) -> Result<()> {
    let path: Vec<&str> = parsed.words.iter().map(String::as_str).collect();
    let Some(text) = arguments::help(&path) else {
        bail!(UsageError::UnknownCommand { command: path.join(" "), parent: "palomar".to_owned() });
    };
    Ok(surroundings.out.write_all(text.as_bytes())?)
}

fn print_help(command: &[String], surroundings: &mut Surroundings<'_>) -> Result<()> {
    let path: Vec<&str> = command.iter().map(String::as_str).collect();
    let text = arguments::help(&path).expect("invariant: the path was parsed by the same tree");
    Ok(surroundings.out.write_all(text.as_bytes())?)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
