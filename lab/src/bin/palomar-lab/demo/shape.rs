//! Which lines of `palomar observe -o compact` the story expects.

use regex::Regex;

/// The shape of a line. `PORT` and `ID` stand for any number, `MATCH` for any way in which a rule matched; a time stands
/// before it.
#[derive(Debug, Clone)]
pub struct Shape {
    text: String,
    pattern: Regex,
}

// === impl Shape ===

impl Shape {
    /// A shape from its text.
    pub fn new(text: &str) -> Self {
        let pattern = regex::escape(text)
            .replace("PORT", r"[0-9]+")
            .replace("ID:N", r"ID:(?<id>[0-9]+)")
            .replace("ID:M", r"ID:[0-9]+")
            .replace("MATCH", r"[A-Za-z0-9-]+");
        let pattern = Regex::new(&format!("^[A-Z][a-z]{{2}} [ 0-9]{{2}} [0-9:.]+: {pattern}$"))
            .expect("invariant: an escaped text is a pattern");
        Self { text: text.to_owned(), pattern }
    }

    /// The number at `ID:N` in the last line of this shape.
    pub fn find(&self, lines: &str) -> Option<u32> {
        let captures = lines.lines().rev().find_map(|line| self.pattern.captures(line.trim_end()))?;
        captures.name("id")?.as_str().parse().ok()
    }

    /// The text it was made from.
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "\
Mar  4 05:06:21.123: np-demo/other:58020 (ID:46753) <> np-demo/web:8080 (ID:60437) policy-verdict:none INGRESS DENIED (TCP Flags: SYN)
Mar  4 05:06:21.123: np-demo/other:58020 (ID:46753) <> np-demo/web:8080 (ID:60437) Policy denied DROPPED (TCP Flags: SYN)
Mar 14 05:06:22.000: np-demo/frontend:54530 (ID:26159) -> np-demo/web:8080 (ID:60437) to-endpoint FORWARDED (TCP Flags: ACK, FIN)
";

    #[test]
    fn a_shape_finds_its_line_and_the_identity() {
        let found = |text| Shape::new(text).find(LINES);
        let dropped =
            "np-demo/other:PORT (ID:N) <> np-demo/web:8080 (ID:M) Policy denied DROPPED (TCP Flags: SYN)";
        let verdict = "np-demo/other:PORT (ID:N) <> np-demo/web:8080 (ID:M) policy-verdict:MATCH INGRESS DENIED (TCP Flags: SYN)";
        assert_eq!(found(dropped), Some(46753));
        assert_eq!(found(verdict), Some(46753));
        for other in [
            "np-demo/other:PORT (ID:N) -> np-demo/web:8080 (ID:M) Policy denied DROPPED (TCP Flags: SYN)",
            "np-demo/other:PORT (ID:N) <> np-demo/web:8080 (ID:M) Policy denied DROPPED",
            "np-demo/frontend:PORT (ID:N) -> np-demo/web:8080 (ID:M) to-endpoint FORWARDED (TCP Flags: SYN)",
            "demo/other:PORT (ID:N) <> np-demo/web:8080 (ID:M) Policy denied DROPPED (TCP Flags: SYN)",
        ] {
            assert_eq!(found(other), None, "{other}");
        }
    }
}
