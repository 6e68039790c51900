//! Regular expressions in Go's dialect (RE2): the same matches, and Go's words for what is wrong.
//!
//! The `regex` crate descends from RE2 as well; what differs is evened out first. There, `\d`, `\w`, `\s` and `\b`
//! know all of Unicode, classes nest and have set operations, `{` must begin a repetition, and `\Q…\E` is not
//! known.

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::ErrorKind;

/// What one compiled expression may take: some ten thousand states, far more than anybody writes by hand.
const MAX_BYTES: usize = 256 << 10;

/// A text that is no regular expression; prints as Go's `regexp.Compile` does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {reason}: `{fragment}`")]
pub struct InvalidRegexp {
    reason: &'static str,
    fragment: String,
}

/// Compiles a pattern that may match anywhere in a text.
pub fn compile(pattern: &str) -> Result<Regex, InvalidRegexp> {
    let translated = translate(pattern);
    if let Err(error) = regex_syntax::ast::parse::Parser::new().parse(&translated) {
        let (start, end) = (error.span().start.offset, error.span().end.offset);
        return Err(in_gos_words(error.kind(), pattern, &translated[start..], &translated[start..end]));
    }
    RegexBuilder::new(&translated).size_limit(MAX_BYTES).dfa_size_limit(MAX_BYTES).build().map_err(|error| {
        InvalidRegexp {
            reason: match error {
                regex::Error::CompiledTooBig(_) => "expression too large",
                _ => "invalid character class range",
            },
            fragment: pattern.to_owned(),
        }
    })
}

/// `from` is the text from where the error begins, `span` the part that the error is about.
fn in_gos_words(kind: &ErrorKind, pattern: &str, from: &str, span: &str) -> InvalidRegexp {
    let (reason, fragment) = match kind {
        ErrorKind::GroupUnclosed => ("missing closing )", pattern),
        ErrorKind::GroupUnopened => ("unexpected )", pattern),
        ErrorKind::ClassUnclosed => ("missing closing ]", from),
        ErrorKind::EscapeUnexpectedEof => ("trailing backslash at end of expression", ""),
        ErrorKind::RepetitionMissing => ("missing argument to repetition operator", operator(from)),
        ErrorKind::RepetitionCountInvalid => ("invalid repeat count", span),
        ErrorKind::ClassRangeInvalid | ErrorKind::ClassRangeLiteral | ErrorKind::ClassEscapeInvalid => {
            ("invalid character class range", span)
        }
        ErrorKind::EscapeUnrecognized
        | ErrorKind::EscapeHexEmpty
        | ErrorKind::EscapeHexInvalid
        | ErrorKind::EscapeHexInvalidDigit
        | ErrorKind::UnsupportedBackreference => ("invalid escape sequence", span),
        ErrorKind::GroupNameEmpty
        | ErrorKind::GroupNameInvalid
        | ErrorKind::GroupNameUnexpectedEof
        | ErrorKind::GroupNameDuplicate { .. } => ("invalid named capture", span),
        ErrorKind::NestLimitExceeded(_) | ErrorKind::CaptureLimitExceeded => {
            ("expression nests too deeply", pattern)
        }
        _ => ("invalid or unsupported Perl syntax", span),
    };
    InvalidRegexp { reason, fragment: fragment.to_owned() }
}

/// The repetition operator that the text begins with.
fn operator(from: &str) -> &str {
    match from.find('}') {
        Some(end) if from.starts_with('{') => &from[..=end],
        _ => from.chars().next().map_or("", |c| &from[..c.len_utf8()]),
    }
}

/// The same expression in the dialect of the `regex` crate. What is wrong stays wrong.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    let mut class = Class::Outside;
    while let Some(c) = rest.chars().next() {
        let taken = match (c, class) {
            ('\\', _) => translate_escape(rest, class, &mut out),
            ('[', Class::Outside) => translate_class_start(rest, &mut class, &mut out),
            ('[', Class::Inside) if rest.starts_with("[:") && rest[2..].contains(":]") => {
                let end = 2 + rest[2..].find(":]").map_or(0, |at| at + 2);
                out.push_str(&rest[..end]);
                end
            }
            ('[' | '&' | '~', Class::Inside) => {
                out.push('\\');
                out.push(c);
                1
            }
            ('-', Class::Inside) if rest.starts_with("--") => {
                out.push_str("-\\-");
                2
            }
            (']', Class::Inside) => {
                class = Class::Outside;
                out.push(c);
                1
            }
            ('{', Class::Outside) if !is_repetition(rest) => {
                out.push_str("\\{");
                1
            }
            _ => {
                out.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Outside,
    Inside,
}

/// `[`, a negation, and a `]` or `-` that stands first and so is a member.
fn translate_class_start(rest: &str, class: &mut Class, out: &mut String) -> usize {
    *class = Class::Inside;
    let mut taken = if rest.starts_with("[^") { 2 } else { 1 };
    out.push_str(&rest[..taken]);
    if rest[taken..].starts_with(']') {
        out.push_str("\\]");
        taken += 1;
    } else if rest[taken..].starts_with("--") {
        out.push_str("\\-");
        taken += 1;
    }
    taken
}

fn translate_escape(rest: &str, class: Class, out: &mut String) -> usize {
    let Some(escaped) = rest[1..].chars().next() else {
        out.push('\\');
        return 1;
    };
    match (escaped, class) {
        ('d', _) => out.push_str("[0-9]"),
        ('D', _) => out.push_str("[^0-9]"),
        ('w', _) => out.push_str("[0-9A-Za-z_]"),
        ('W', _) => out.push_str("[^0-9A-Za-z_]"),
        ('s', _) => out.push_str("[\\t\\n\\f\\r ]"),
        ('S', _) => out.push_str("[^\\t\\n\\f\\r ]"),
        ('b', Class::Outside) => out.push_str("(?-u:\\b)"),
        ('B', Class::Outside) => out.push_str("(?-u:\\B)"),
        ('Q', Class::Outside) => {
            let quoted = &rest[2..];
            let (literal, end) =
                quoted.find("\\E").map_or((quoted, rest.len()), |at| (&quoted[..at], at + 4));
            out.push_str(&regex::escape(literal));
            return end;
        }
        _ => {
            out.push('\\');
            out.push(escaped);
        }
    }
    1 + escaped.len_utf8()
}

/// Whether the text begins with `{n}`, `{n,}` or `{n,m}`; anything else is a literal brace to Go.
fn is_repetition(rest: &str) -> bool {
    let Some((inside, _)) = rest[1..].split_once('}') else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match inside.split_once(',') {
        None => digits(inside),
        Some((least, most)) => digits(least) && (most.is_empty() || digits(most)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_in_gos_words() {
        let table = [
            ("(", "error parsing regexp: missing closing ): `(`"),
            ("a(b", "error parsing regexp: missing closing ): `a(b`"),
            ("a)", "error parsing regexp: unexpected ): `a)`"),
            ("[", "error parsing regexp: missing closing ]: `[`"),
            ("x[a", "error parsing regexp: missing closing ]: `[a`"),
            ("*", "error parsing regexp: missing argument to repetition operator: `*`"),
            ("{2}", "error parsing regexp: missing argument to repetition operator: `{2}`"),
            ("a\\", "error parsing regexp: trailing backslash at end of expression: ``"),
            ("[z-a]", "error parsing regexp: invalid character class range: `z-a`"),
            ("\\y", "error parsing regexp: invalid escape sequence: `\\y`"),
            ("a{3,2}", "error parsing regexp: invalid repeat count: `{3,2}`"),
        ];
        for (pattern, expected) in table {
            let result = compile(pattern).map(|_| ()).map_err(|error| error.to_string());
            assert_eq!(result, Err(expected.to_owned()));
        }
    }

    #[test]
    fn matches_are_gos() {
        let table = [
            ("api.*", "x.api.example.com", true),
            ("^/items$", "/items", true),
            ("^/items$", "/items/1", false),
            (r"^\d$", "٣", false),
            (r"^\w$", "é", false),
            (r"^[\d_]+$", "1_2", true),
            ("^[[a]+$", "[a", true),
            ("^[a&&b]+$", "&", true),
            ("^[a--b]$", "-", false),
            ("^[--/]$", ".", true),
            ("^[+--]$", ",", true),
            ("^[]a]$", "]", true),
            ("^[^]a]$", "]", false),
            ("^[[:alpha:]]$", "x", true),
            ("^a{$", "a{", true),
            ("^{,2}$", "{,2}", true),
            ("^a{2}$", "aa", true),
            (r"^\Qa.b\E.$", "a.bc", true),
            (r"^\Qa.b\E.$", "axbc", false),
            (r"\bx\b", "a x b", true),
        ];
        for (pattern, text, expected) in table {
            match compile(pattern) {
                Ok(regex) => assert_eq!(regex.is_match(text), expected, "{pattern} on {text}"),
                Err(error) => assert!(!expected, "{pattern}: {error}"),
            }
        }
    }
}
