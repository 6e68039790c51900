//! `palomar`, the command line: flags → request, response → text.
//!
//! * [`arguments`]: the commands and flags, and what was given of them.
//! * [`settings`]: connection flags from the environment and the config files.
//! * [`observe`], [`status`], [`identity`], [`endpoint`], [`connections`], [`list`], [`watch`], [`reflect`], [`config`],
//!   [`policy`]: the commands.
//! * [`render`]: flows and events as text, one file a format.
//! * [`time`]: times and durations as users write and read them.

#![forbid(unsafe_code)]

pub mod arguments;
pub mod config;
pub mod connection;
pub mod connections;
pub mod endpoint;
pub mod identity;
pub mod list;
mod log;
mod manual;
pub mod observe;
mod palomar_api;
pub mod policy;
pub mod reflect;
pub mod render;
mod rpc;
pub mod settings;
pub mod status;
mod surroundings;
pub mod time;
mod version;
pub mod watch;

use std::io::{self, ErrorKind};

use anyhow::{Result, bail};

use arguments::commands::ROOT;
use arguments::{Declared, Parsed, UsageError};
use connection::Connection;
use observe::Filters;
use policy::NotAsWanted;
use settings::Settings;
pub use surroundings::Surroundings;

/// Runs a command line, given without the name of the program. Returns the exit code: 0; 1 with the reason on stderr;
/// or 3 where the command did its work and what it found is not what was wanted ([`policy::NotAsWanted`]). A reader of the output who has gone away is no failure.
pub async fn run(words: &[String], surroundings: &mut Surroundings<'_>) -> u8 {
    let outcome = match Box::pin(dispatch(words, surroundings)).await {
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
            if error.is::<NotAsWanted>() { NotAsWanted::CODE } else { 1 }
        }
    }
}

async fn dispatch(words: &[String], surroundings: &mut Surroundings<'_>) -> Result<()> {
    let mut parsed = arguments::parse(&ROOT, words)?;
    // the first wrong flag is the one to tell, and filter flags are judged one by one
    let filters = Filters::from_flags(&parsed.given)?;
    if let Some(wrong) = parsed.wrong.take() {
        bail!(wrong);
    }
    if parsed.given.switch("help")? {
        return print_help(&parsed.path, surroundings);
    }
    match parsed.path.as_slice() {
        [] if parsed.given.switch("version")? => version::print(surroundings),
        ["version"] => version::print(surroundings),
        ["help"] => help_on(&parsed, surroundings),
        ["completion"] => manual::completion(&parsed, surroundings),
        ["man"] => manual::man(&parsed, surroundings),
        ["config", "view"] => config::view(&parsed, surroundings),
        ["config", "get"] => config::get(&parsed, surroundings),
        ["config", "set"] => config::set(&parsed, surroundings),
        ["config", "reset"] => config::reset(&parsed, surroundings),
        ["policy", "test"] => policy::test(&parsed, surroundings),
        path if parsed.command.commands.is_empty() || path == ["observe"] => {
            let raw = raw_filter_flags(&parsed);
            let settings = Settings::load(&parsed.given, surroundings)?;
            settings.complete(&mut parsed.given, &raw, surroundings)?;
            if parsed.given.switch("debug")? {
                settings.tell_files(surroundings)?;
            }
            let connection = Connection::from_flags(&parsed.given)?;
            Box::pin(ask(&parsed, filters, connection, surroundings)).await
        }
        path => print_help(path, surroundings),
    }
}

/// The commands that speak to a server.
async fn ask(
    parsed: &Parsed,
    filters: Filters,
    connection: Connection,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    match parsed.path.as_slice() {
        ["observe"] | ["observe", "flows"] => {
            observe::flows(parsed, filters, &connection, surroundings).await
        }
        ["observe", "agent-events"] => observe::agent_events(parsed, &connection, surroundings).await,
        ["observe", "debug-events"] => observe::debug_events(parsed, &connection, surroundings).await,
        ["status"] => status::run(parsed, &connection, surroundings).await,
        ["identity", "get"] => identity::get(parsed, &connection, surroundings).await,
        ["identity", "list"] => identity::list(parsed, &connection, surroundings).await,
        ["endpoint", "list"] => endpoint::list(parsed, &connection, surroundings).await,
        ["connections"] => connections::list(parsed, filters, &connection, surroundings).await,
        ["list", "nodes"] => list::nodes(parsed, &connection, surroundings).await,
        ["list", "namespaces"] => list::namespaces(parsed, &connection, surroundings).await,
        ["watch", "peers"] => watch::peers(&connection, surroundings).await,
        ["policy", "explain"] => policy::explain(parsed, &connection, surroundings).await,
        ["policy", "list"] => policy::list(parsed, &connection, surroundings).await,
        ["policy", "get"] => policy::get(parsed, &connection, surroundings).await,
        ["policy", "simulate"] => policy::simulate(parsed, filters, &connection, surroundings).await,
        ["reflect"] => reflect::run(&connection, surroundings).await,
        path => print_help(path, surroundings),
    }
}

/// `--allowlist` and `--denylist` are settings of the commands that have them.
fn raw_filter_flags(parsed: &Parsed) -> Vec<&'static Declared> {
    ["allowlist", "denylist"].into_iter().filter_map(|name| ROOT.long(parsed.command, name)).collect()
}

fn help_on(parsed: &Parsed, surroundings: &mut Surroundings<'_>) -> Result<()> {
    let path: Vec<&str> = parsed.words.iter().map(String::as_str).collect();
    let Some(text) = arguments::help(&path) else {
        bail!(UsageError::UnknownCommand {
            command: path.join(" "),
            parent: ROOT.name.to_owned(),
            suggestions: String::new(),
        });
    };
    Ok(surroundings.out.write_all(text.as_bytes())?)
}

fn print_help(path: &[&str], surroundings: &mut Surroundings<'_>) -> Result<()> {
    let text = arguments::help(path).expect("invariant: the path was found in the same table");
    Ok(surroundings.out.write_all(text.as_bytes())?)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
