//! How flags are declared.

use clap::{Arg, ArgAction};

/// What a declaration is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Splitting a command line: a switch also takes `=true` and `=false`.
    Parse,
    /// Printing the help, where that would be in the way.
    Help,
}

/// What follows a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value of that name.
    Valued(&'static str),
    /// Nothing.
    Switch,
    /// Nothing, or `=false`: a switch that is on unless turned off.
    Toggle,
}

/// A flag of a group.
#[derive(Debug, Clone, Copy)]
pub struct Declared {
    /// Without dashes.
    pub long: &'static str,
    /// If it has a short name.
    pub short: Option<char>,
    /// What follows it.
    pub kind: Kind,
    /// For the user.
    pub help: &'static str,
}

/// A flag with a value.
pub const fn valued(long: &'static str, value: &'static str, help: &'static str) -> Declared {
    Declared { long, short: None, kind: Kind::Valued(value), help }
}

/// A flag that turns something on.
pub const fn switch(long: &'static str, help: &'static str) -> Declared {
    Declared { long, short: None, kind: Kind::Switch, help }
}

/// A flag to turn something off.
pub const fn toggle(long: &'static str, help: &'static str) -> Declared {
    Declared { long, short: None, kind: Kind::Toggle, help }
}

impl Declared {
    /// With a short name.
    pub const fn short(self, short: char) -> Self {
        Self { short: Some(short), ..self }
    }

    /// The flag for clap. It may be repeated; values are taken as they are, even with a dash.
    pub fn arg(self, purpose: Purpose) -> Arg {
        let arg = Arg::new(self.long).long(self.long).help(self.help);
        let arg = match self.short {
            Some(short) => arg.short(short),
            None => arg,
        };
        match (self.kind, purpose) {
            (Kind::Valued(name), _) => {
                arg.action(ArgAction::Append).value_name(name).allow_hyphen_values(true)
            }
            (Kind::Switch, Purpose::Help) => arg.action(ArgAction::SetTrue),
            (Kind::Switch | Kind::Toggle, _) => arg
                .action(ArgAction::Append)
                .value_name("BOOL")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true"),
        }
    }
}

/// All flags of a group, under its heading.
pub fn group(flags: &[Declared], heading: &'static str, purpose: Purpose) -> Vec<Arg> {
    flags.iter().map(|flag| flag.arg(purpose).help_heading(heading)).collect()
}
