//! All commands with their flags.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Command};

use super::declare::{Purpose, group, switch, valued};
use super::{Flag, Given, UsageError, connection, filters, formatting, selectors};

/// Columns of the help.
const WIDTH: usize = 110;
/// The words after the flags.
const WORDS: &str = "words";

/// A command line in its parts.
#[derive(Debug)]
pub struct Parsed {
    /// The command, from the outermost; empty if none was named.
    pub command: Vec<String>,
    /// Flags in their order.
    pub given: Given,
    /// Other words.
    pub words: Vec<String>,
}

/// Splits a command line, without the name of the program.
pub fn parse(words: &[String]) -> Result<Parsed, UsageError> {
    let root = root(Purpose::Parse);
    let line = std::iter::once("palomar").chain(words.iter().map(String::as_str));
    let matches =
        root.clone().try_get_matches_from(line).map_err(|error| usage_error(&error, &root, words))?;
    let (mut command, mut matches, mut path) = (&root, &matches, Vec::new());
    while let Some((name, inner)) = matches.subcommand() {
        let found =
            command.find_subcommand(name).ok_or_else(|| UsageError::Other(format!("no command {name}")))?;
        path.push(name.to_owned());
        (command, matches) = (found, inner);
    }
    let words = match matches.try_get_many::<String>(WORDS) {
        Ok(Some(words)) => words.cloned().collect(),
        Ok(None) | Err(_) => Vec::new(),
    };
    Ok(Parsed { command: path, given: given(&root, command, matches), words })
}

/// The help of a command; of the program, if `path` is empty. `None`: there is no such command.
pub fn help(path: &[&str]) -> Option<String> {
    let mut root = root(Purpose::Help);
    root.build();
    let mut command = &mut root;
    for name in path {
        command = command.find_subcommand_mut(name)?;
    }
    Some(command.render_help().to_string())
}

// === The tree ===

fn root(purpose: Purpose) -> Command {
    let version = switch("version", "Print the version").short('v').arg(purpose);
    let shared = group(&connection::FLAGS, connection::HEADING, purpose);
    let help = switch("help", "Print this help").short('h').arg(purpose);
    named("palomar", "Watch the flows of pods, and who may speak to whom")
        .subcommands([
            observe(purpose),
            status(),
            identity(),
            endpoint(),
            list(),
            version_command(),
            help_command(),
        ])
        .arg(version)
        .args(shared.into_iter().chain([help]).map(|arg| arg.global(true)))
        .term_width(WIDTH)
}

fn observe(purpose: Purpose) -> Command {
    named("observe", "Print flows")
        .override_usage("palomar observe [flows] [FLAGS]")
        .after_help(
            "Repeated flags mean any of their values; different flags must all match. The last 20 flows are printed if \
             neither a number, a time nor --follow is given.",
        )
        .args(group(&selectors::FLAGS, selectors::HEADING, purpose))
        .args(filters::args(purpose))
        .args(group(&formatting::FLAGS, formatting::HEADING, purpose))
        // Hubble's second name "observe flows", and its habit to overlook further words
        .arg(Arg::new(WORDS).num_args(0..).hide(true))
}

fn status() -> Command {
    let output = "compact, dict, table (or tab), json (or jsonpb) [default: compact]";
    named("status", "Tell whether the server is well, how much it remembers and what it lost")
        .arg(valued("output", "FORMAT", output).short('o').arg(Purpose::Parse))
}

fn identity() -> Command {
    let get = named("get", "Print the labels behind an identity")
        .arg(table_or_json())
        .arg(Arg::new(WORDS).value_name("IDENTITY").help("A number, or a reserved name such as world"));
    let list = named("list", "Print all identities that the agent knows").arg(table_or_json());
    named("identity", "Identities: the numbers that stand for sets of labels").subcommands([get, list])
}

fn endpoint() -> Command {
    let list =
        named("list", "Print every pod of the agent's node: how it is watched, or why it cannot be seen")
            .arg(table_or_json());
    named("endpoint", "Endpoints: the pods of one node, as its agent sees them").subcommands([list])
}

fn list() -> Command {
    let output =
        || valued("output", "FORMAT", "table, wide, json [default: table]").short('o').arg(Purpose::Parse);
    let nodes = named("nodes", "Print the nodes that a relay knows").alias("node").arg(output());
    let namespaces = named("namespaces", "Print the namespaces of recent flows").arg(output());
    named("list", "Print nodes or namespaces").subcommands([nodes, namespaces])
}

fn version_command() -> Command {
    named("version", "Print the version")
}

fn help_command() -> Command {
    named("help", "Print the help of a command").arg(Arg::new(WORDS).value_name("COMMAND").num_args(0..))
}

fn table_or_json() -> Arg {
    valued("output", "FORMAT", "table, json [default: table]").short('o').arg(Purpose::Parse)
}

fn named(name: &'static str, about: &'static str) -> Command {
    Command::new(name)
        .about(about)
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .disable_version_flag(true)
}

// === Out of clap ===

/// Every shared flag and every flag of the command, in the order of the command line.
fn given(root: &Command, command: &Command, matches: &ArgMatches) -> Given {
    let mut entries = Vec::new();
    let shared = root.get_arguments().filter(|arg| arg.is_global_set());
    let own = command.get_arguments().filter(|arg| !arg.is_global_set() && !arg.is_positional());
    for arg in shared.chain(own) {
        let id = arg.get_id().as_str();
        let (Ok(Some(values)), Some(places)) = (matches.try_get_many::<String>(id), matches.indices_of(id))
        else {
            continue;
        };
        let flag = Flag { long: id.to_owned(), short: arg.get_short() };
        entries.extend(places.zip(values).map(|(place, value)| (place, flag.clone(), value.clone())));
    }
    entries.sort_by_key(|(place, ..)| *place);
    Given::new(entries.into_iter().map(|(_, flag, value)| (flag, value)).collect())
}

fn usage_error(error: &clap::Error, root: &Command, words: &[String]) -> UsageError {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" "),
        _ => String::new(),
    };
    match error.kind() {
        ErrorKind::UnknownArgument => unknown(&text(ContextKind::InvalidArg)),
        ErrorKind::InvalidSubcommand => UsageError::UnknownCommand {
            command: text(ContextKind::InvalidSubcommand),
            parent: deepest(root, words),
        },
        ErrorKind::InvalidValue | ErrorKind::WrongNumberOfValues | ErrorKind::TooFewValues
            if text(ContextKind::InvalidValue).is_empty() =>
        {
            let flag = text(ContextKind::InvalidArg);
            UsageError::MissingValue(flag.split([' ', '=']).next().unwrap_or_default().to_owned())
        }
        _ => UsageError::Other(error.to_string().trim_start_matches("error: ").trim_end().to_owned()),
    }
}

/// The full name of the command that the words lead to.
fn deepest(root: &Command, words: &[String]) -> String {
    let mut command = root;
    let mut path = vec![root.get_name()];
    for found in words.iter().filter(|word| !word.starts_with('-')) {
        let Some(inner) = command.find_subcommand(found) else { continue };
        command = inner;
        path.push(inner.get_name());
    }
    path.join(" ")
}

fn unknown(argument: &str) -> UsageError {
    if argument.starts_with("--") {
        return UsageError::UnknownFlag(argument.to_owned());
    }
    let mut rest = argument.chars();
    match (rest.next(), rest.next()) {
        (Some('-'), Some(short)) => UsageError::UnknownShorthand(short),
        _ => UsageError::UnexpectedArgument(argument.to_owned()),
    }
}
