//! What is wrong with an expression, and where, as Google's CEL writes it.

use std::fmt;

/// Something that is wrong at a place of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Issue {
    /// Characters before it in the text.
    pub(super) offset: usize,
    pub(super) message: String,
}

/// Everything that is wrong with a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Issues<'a> {
    pub(super) text: &'a str,
    pub(super) issues: &'a [Issue],
}

impl fmt::Display for Issues<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Issue { offset, message }) in self.issues.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            let (line, column, shown) = place(self.text, *offset);
            write!(f, "ERROR: <input>:{line}:{}: {message}", column + 1)?;
            write!(f, "\n | {shown}\n | {}^", ".".repeat(column))?;
        }
        Ok(())
    }
}

/// The number of the line, from one, the characters before the place in it, and the line.
fn place(text: &str, offset: usize) -> (usize, usize, &str) {
    let mut left = offset;
    let mut last = (1, 0, "");
    for (number, line) in (1..).zip(text.split('\n')) {
        let length = line.chars().count();
        if left <= length {
            return (number, left, line);
        }
        last = (number, length, line);
        left -= length + 1;
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_told_by_line_and_character() {
        for (text, offset, expected) in [
            ("a == b", 2, "ERROR: <input>:1:3: no\n | a == b\n | ..^"),
            ("a ||\n  é == b", 9, "ERROR: <input>:2:5: no\n |   é == b\n | ....^"),
            ("", 0, "ERROR: <input>:1:1: no\n | \n | ^"),
            ("a", 99, "ERROR: <input>:1:2: no\n | a\n | .^"),
        ] {
            let issues = [Issue { offset, message: "no".to_owned() }];
            assert_eq!(Issues { text, issues: &issues }.to_string(), expected, "{text:?} {offset}");
        }
    }
}
