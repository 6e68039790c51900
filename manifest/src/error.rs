//! What is wrong with a manifest, and how it is said.

use std::fmt;

use crate::key::ObjectKey;

/// One thing that is wrong with a manifest file. Prints as `web.yaml:7: spec.podSelecter: unknown field; …`, one
/// line, with control characters escaped: all of it but the words is untrusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ManifestError {
    /// The file as it was named to [`crate::parse`].
    pub file: String,
    /// The line, from 1; 0 where the error concerns the whole file.
    pub line: u32,
    /// Path of the field, e.g. `spec.ingress[0].from[1].ipBlock.cidr`; empty where no field is concerned.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
    /// The object that it is in, where its name could be read.
    pub object: Option<ObjectKey>,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Escaped(&self.file))?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        f.write_str(": ")?;
        if !self.field.is_empty() {
            write!(f, "{}: ", Escaped(&self.field))?;
        }
        write!(f, "{}", Escaped(&self.reason))
    }
}

/// Text that somebody else wrote, safe for a terminal: control characters and characters that reorder or hide text
/// are written as escapes, and what is long is cut.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a str);

impl Escaped<'_> {
    /// Longest text shown, in characters; the rest becomes `…`.
    pub const LONGEST: usize = 600;
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, character) in self.0.chars().enumerate() {
            if position == Self::LONGEST {
                return f.write_str("…");
            }
            if character.is_control() || hides_or_reorders(character) {
                write!(f, "{}", character.escape_unicode())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        Ok(())
    }
}

/// Format characters of Unicode that change the order of text or cannot be seen.
const fn hides_or_reorders(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

/// A value of the user's inside a reason: quoted, at most 80 characters. Printing the reason escapes it.
pub(crate) fn quoted(text: &str) -> String {
    let mut cut: String = text.chars().take(80).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    format!("\"{cut}\"")
}

/// A problem found in a document, before it has a file to belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) line: u32,
    pub(crate) field: String,
    pub(crate) reason: String,
}

impl Problem {
    pub(crate) fn new(line: u32, field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { line, field: field.into(), reason: reason.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let error = ManifestError {
            file: "a\u{1b}[2J.yaml".into(),
            line: 3,
            field: "metadata.labels.\u{202e}x".into(),
            reason: "bad\nvalue".into(),
            object: None,
        };
        assert_eq!(error.to_string(), "a\\u{1b}[2J.yaml:3: metadata.labels.\\u{202e}x: bad\\u{a}value");
    }

    #[test]
    fn long_text_is_cut_and_whole_file_errors_have_no_line() {
        let error = ManifestError {
            file: "a.yaml".into(),
            line: 0,
            field: String::new(),
            reason: "é".repeat(2000),
            object: None,
        };
        let text = error.to_string();
        assert!(text.starts_with("a.yaml: éé"), "{text}");
        assert_eq!(text.chars().count(), "a.yaml: ".len() + Escaped::LONGEST + 1);
    }
}
