//! Labels as text, with what a value may not hold escaped.

/// A list of labels as the text of a sample has it, without the braces: `protocol="TCP",verdict="FORWARDED"`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(String);

// === impl Labels ===

impl Labels {
    /// No labels.
    pub const NONE: Self = Self(String::new());

    /// These and one more. The value is any text; names are ours.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.push(name, value);
        self
    }

    /// Adds a label.
    pub fn push(&mut self, name: &'static str, value: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(name);
        self.0.push_str("=\"");
        escape(value, &mut self.0);
        self.0.push('"');
    }

    /// The text; empty for no labels.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text.
    pub fn into_text(self) -> Box<str> {
        self.0.into()
    }
}

/// Escapes a label's value, in either format, and a help text of `OpenMetrics`.
pub fn escape(value: &str, text: &mut String) {
    escape_these(&['\\', '\n', '"'], value, text);
}

/// Escapes a help text of Prometheus, in which quotes stand as they are.
pub fn escape_help(help: &str, text: &mut String) {
    escape_these(&['\\', '\n'], help, text);
}

fn escape_these(special: &[char], value: &str, text: &mut String) {
    let mut from = 0;
    for (at, found) in value.match_indices(special) {
        text.push_str(&value[from..at]);
        text.push('\\');
        text.push_str(if found == "\n" { "n" } else { found });
        from = at + found.len();
    }
    text.push_str(&value[from..]);
}
