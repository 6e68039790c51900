//! Patterns for DNS and node names: letters, digits, `.`, `-`, `_`, and `*` for any run of name characters.

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

/// A pattern; it stands for whole names only.
#[derive(Debug)]
pub(super) struct Pattern(String);

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
        match pattern.chars().find(|c| !matches!(c, '*' | '.' | 'a'..='z' | '0'..='9' | '-' | '_')) {
            Some(other) => Err(InvalidPattern::Character(other)),
            None => Ok(Self(pattern.to_owned())),
        }
    }

    /// A `*` takes as little as it can, and one more where the rest did not fit. Only the last `*` that was met has to
    /// be tried again: whatever an earlier one could reach, a later one can as well.
    pub(super) fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut at, mut name_at) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while at < pattern.len() || name_at < name.len() {
            match (pattern.get(at), name.get(name_at)) {
                (Some(b'*'), _) => {
                    star = Some((at + 1, name_at));
                    at += 1;
                }
                (Some(wanted), Some(byte)) if wanted == byte => {
                    at += 1;
                    name_at += 1;
                }
                _ => match star {
                    Some((behind, taken)) if name.get(taken).is_some_and(|byte| is_starred(*byte)) => {
                        star = Some((behind, taken + 1));
                        (at, name_at) = (behind, taken + 1);
                    }
                    _ => return false,
                },
            }
        }
        true
    }
}

/// What a `*` may stand for: not an underscore, as in Hubble.
const fn is_starred(byte: u8) -> bool {
    matches!(byte, b'-' | b'.' | b'0'..=b'9' | b'a'..=b'z')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    proptest! {
        #[test]
        fn a_pattern_matches_what_its_regular_expression_matches(
            pattern in "[ab_.*]{1,8}", name in "[abA_.]{0,10}",
        ) {
            let Ok(compiled) = Pattern::compile(&pattern) else { return Ok(()) };
            let regex: String = compiled.0.chars().map(|c| match c {
                '*' => "[-.0-9a-z]*".to_owned(),
                other => regex::escape(&other.to_string()),
            }).collect();
            let expected = Regex::new(&format!("^(?:{regex})$")).unwrap().is_match(&name);
            prop_assert_eq!(compiled.matches(&name), expected, "{} on {}", compiled.0, name);
        }
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_time() {
        let pattern = Pattern::compile(&"a*".repeat(1_000)).unwrap();
        assert!(!pattern.matches(&format!("{}b_", "a".repeat(10_000))));
    }
}
