//! How flags are declared.

/// What a flag holds, and what may follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// A port, or zero.
    Port,
    /// A duration.
    Duration,
    /// Texts separated by commas; the flag may be repeated.
    List,
    /// On if it stands there, or off with `=false`.
    Switch,
    /// The same, for one that is on unless turned off.
    Toggle,
    /// Part of a filter, with a value that the filter checks.
    Filter,
    /// Part of a filter, without a value; one that is given with `=` does not count.
    Mark,
}

/// A flag of a group.
#[derive(Debug, Clone, Copy)]
pub struct Declared {
    /// Without dashes.
    pub long: &'static str,
    /// If it has a short name.
    pub short: Option<char>,
    /// What it holds.
    pub kind: Kind,
    /// The name of its value in the help; empty for one without value.
    pub value: &'static str,
    /// The values that a shell may offer; not all that are taken.
    pub choices: &'static [&'static str],
    /// For the user.
    pub help: &'static str,
}

/// A flag with a text.
pub const fn text(long: &'static str, value: &'static str, help: &'static str) -> Declared {
    Declared { long, short: None, kind: Kind::Text, value, choices: &[], help }
}

/// A flag that turns something on.
pub const fn switch(long: &'static str, help: &'static str) -> Declared {
    Declared { kind: Kind::Switch, ..text(long, "", help) }
}

/// A flag to turn something off.
pub const fn toggle(long: &'static str, help: &'static str) -> Declared {
    Declared { kind: Kind::Toggle, ..text(long, "BOOL", help) }
}

/// A filter flag with a value.
pub const fn filter(long: &'static str, value: &'static str, help: &'static str) -> Declared {
    Declared { kind: Kind::Filter, ..text(long, value, help) }
}

/// A filter flag without a value.
pub const fn mark(long: &'static str, help: &'static str) -> Declared {
    Declared { kind: Kind::Mark, ..text(long, "", help) }
}

impl Declared {
    /// With a short name.
    #[must_use]
    pub const fn short(self, short: char) -> Self {
        Self { short: Some(short), ..self }
    }

    /// With another kind of value than a text.
    #[must_use]
    pub const fn of(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// With values for a shell to offer.
    #[must_use]
    pub const fn choices(self, choices: &'static [&'static str]) -> Self {
        Self { choices, ..self }
    }

    /// What the flag stands for where nothing follows it; `None`: it needs a value.
    pub const fn alone(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Switch | Kind::Toggle | Kind::Mark => Some("true"),
            _ => None,
        }
    }

    /// Whether it makes up a filter together with others.
    pub const fn is_filter(&self) -> bool {
        matches!(self.kind, Kind::Filter | Kind::Mark)
    }

    /// How messages name it: `--verdict`, `-n, --namespace`.
    pub fn shown(&self) -> String {
        match self.short {
            Some(short) => format!("-{short}, --{}", self.long),
            None => format!("--{}", self.long),
        }
    }
}
