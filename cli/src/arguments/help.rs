//! The commands for clap, which lays out the help, the completions and the manual pages.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command as Clap};

use super::commands::{Command, Group, ROOT, Words};
use super::declare::{Declared, Kind};

/// Columns of the help.
const WIDTH: usize = 110;

/// The help of a command; of the program, if `path` is empty. `None`: there is no such command.
pub fn help(path: &[&str]) -> Option<String> {
    let mut root = tree();
    root.build();
    let mut command = &mut root;
    for name in path {
        command = command.find_subcommand_mut(name)?;
    }
    Some(command.render_help().to_string())
}

/// The program with all its commands.
pub fn tree() -> Clap {
    root(|_| true)
}

/// The program with the commands that are offered to users.
pub fn offered() -> Clap {
    root(|command| !command.hidden)
}

fn root(shown: fn(&Command) -> bool) -> Clap {
    clap_command(&ROOT, shown).args(args(ROOT.shared, true)).term_width(WIDTH)
}

fn clap_command(command: &'static Command, shown: fn(&Command) -> bool) -> Clap {
    let clap = Clap::new(command.name)
        .about(command.about)
        .visible_aliases(command.aliases)
        .hide(command.hidden)
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        .args(args(command.flags, false))
        .args(words(command.words))
        .subcommands(
            command.commands.iter().filter(|inner| shown(inner)).map(|inner| clap_command(inner, shown)),
        );
    let clap = match command.usage {
        Some(usage) => clap.override_usage(usage),
        None => clap,
    };
    if command.more.is_empty() { clap } else { clap.after_help(command.more) }
}

fn args(groups: &[Group], shared: bool) -> Vec<Arg> {
    let all = groups.iter().flat_map(|group| group.flags.iter().map(move |flag| (group.heading, flag)));
    all.map(|(heading, flag)| {
        let arg = arg(flag).global(shared);
        if heading == "Options" { arg } else { arg.help_heading(heading) }
    })
    .collect()
}

fn arg(flag: &Declared) -> Arg {
    let arg = Arg::new(flag.long).long(flag.long).help(flag.help);
    let arg = match flag.short {
        Some(short) => arg.short(short),
        None => arg,
    };
    match flag.kind {
        Kind::Switch | Kind::Mark => arg.action(ArgAction::SetTrue),
        Kind::Toggle => {
            arg.action(ArgAction::Append).value_name(flag.value).num_args(0..=1).require_equals(true)
        }
        _ => offer(arg.action(ArgAction::Append).value_name(flag.value), flag.choices),
    }
}

/// The help names the values in its own words.
fn offer(arg: Arg, choices: &'static [&'static str]) -> Arg {
    if choices.is_empty() {
        arg
    } else {
        arg.value_parser(PossibleValuesParser::new(choices)).hide_possible_values(true)
    }
}

fn words(words: Words) -> Option<Arg> {
    match words {
        Words::One(name, help) => Some(Arg::new("words").value_name(name).help(help)),
        Words::Some(name, help) => Some(Arg::new("words").value_name(name).help(help).num_args(0..)),
        Words::Ignored | Words::None => None,
    }
}
