//! Results of expectations in the form that CI servers read.

use std::fmt::Write;

use super::expectations::Outcome;

/// One suite, named after the file.
pub fn of(file: &str, results: &[Outcome]) -> String {
    let failures = results.iter().filter(|result| result.failure.is_some()).count();
    let counts = format!("tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"0\"", results.len());
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let mut line = |text: String| writeln!(xml, "{text}").expect("invariant: a String takes everything");
    line(format!("<testsuites {counts}>"));
    line(format!("  <testsuite name=\"{}\" {counts}>", escaped(file)));
    for Outcome { expectation, title, verdict, failure } in results {
        let case = format!(
            "    <testcase classname=\"palomar.policy\" name=\"{}\" file=\"{}\" line=\"{}\"",
            escaped(title),
            escaped(file),
            expectation.line
        );
        match failure {
            None => line(format!("{case}/>")),
            Some((short, full)) => {
                line(format!("{case}>"));
                let failure = format!("<failure type=\"{verdict}\" message=\"{}\">", escaped(short));
                line(format!("      {failure}{}</failure>", escaped(full)));
                line("    </testcase>".to_owned());
            }
        }
    }
    line("  </testsuite>".to_owned());
    line("</testsuites>".to_owned());
    xml
}

/// Text for an attribute or an element; what XML cannot hold is replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(c),
        }
    }
    escaped
}
