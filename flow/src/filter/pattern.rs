//! Patterns for DNS and node names: letters, digits, `.`, `-`, `_`, and `*` for any run of name characters.

use regex::Regex;

use crate::go::quote::QuotedChar;

/// A text that is no name pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// Nothing is left of the pattern.
    #[error("empty pattern")]
    Empty,
    /// More than one dot at the end.
    #[error("multiple trailing dots in pattern")]
    TrailingDots,
    /// A character that no name has.
    #[error("{}: invalid rune in pattern", QuotedChar(*.0))]
    Character(char),
    /// More than one slash in a node name.
    #[error("too many slashes in pattern")]
    Slashes,
}

/// A compiled pattern; it stands for whole names only.
#[derive(Debug)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Spaces around the pattern and one dot at its end do not count, nor does case.
    pub(super) fn compile(pattern: &str) -> Result<Self, InvalidPattern> {
        let pattern = pattern.trim().to_lowercase();
        let pattern = pattern.strip_suffix('.').unwrap_or(&pattern);
        if pattern.is_empty() {
            return Err(InvalidPattern::Empty);
        }
        if pattern.ends_with('.') {
            return Err(InvalidPattern::TrailingDots);
        }
        let mut regex = String::from("^(?:");
        for c in pattern.chars() {
            match c {
                '*' => regex.push_str("[-.0-9a-z]*"),
                '.' => regex.push_str("[.]"),
                'a'..='z' | '0'..='9' | '-' | '_' => regex.push(c),
                other => return Err(InvalidPattern::Character(other)),
            }
        }
        regex.push_str(")$");
        Ok(Self(Regex::new(&regex).map_err(|_| InvalidPattern::Empty)?))
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}
