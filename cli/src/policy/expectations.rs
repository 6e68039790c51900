//! `policy test`: what a team expects of its policies, and how it came out.

use std::{fs, io};

use anyhow::{Context, Result, bail};
use palomar_manifest::Escaped;
use palomar_manifest::expectations::{Expectation, parse};
use palomar_policy::explain::{Verdict, explain, smallest_change};
use serde_json::{Value, json};

use super::exit::NotAsWanted;
use super::explain::Told;
use super::manifests::{self, Manifests, STDIN, counted};
use super::question::protocol_name;
use super::{junit, stdin, text};
use crate::arguments::{Parsed, UsageError};
use crate::palomar_api::print_json;
use crate::render::escape::escape;
use crate::surroundings::Surroundings;

/// One expectation, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub expectation: Expectation,
    pub title: String,
    pub verdict: Verdict,
    /// Why it does not hold, in a line and in full; `None`: it holds.
    pub failure: Option<(String, String)>,
}

/// Runs all expectations of a file.
pub fn run(parsed: &Parsed, surroundings: &mut Surroundings<'_>) -> Result<()> {
    let [file] = parsed.words.as_slice() else {
        bail!(UsageError::MissingArgument("a file of expectations"));
    };
    stdin::taken_once(&parsed.given, &["manifests"], Some(file))?;
    let manifests = manifests::from_flags(&parsed.given, &mut *surroundings.input)?;
    manifests.warn_of_overlooked(&mut *surroundings.err)?;
    let text = match file.as_str() {
        STDIN => io::read_to_string(&mut *surroundings.input),
        path => fs::read_to_string(path),
    };
    let text = text.with_context(|| format!("cannot read {}", Escaped(file)))?;
    let file = if file == STDIN { "stdin" } else { file };
    let expectations = parse(file, &text).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(|error| format!("  {error}")).collect();
        anyhow::anyhow!("{} in the expectations:\n{}", counted(errors.len(), "mistake"), lines.join("\n"))
    })?;
    let results = judge(expectations, &manifests);
    if let Some(path) = parsed.given.text("junit") {
        fs::write(path, junit::of(file, &results))
            .with_context(|| format!("cannot write {}", Escaped(path)))?;
    }
    match parsed.given.text("output").unwrap_or("text") {
        "text" => print_lines(file, &results, surroundings)?,
        "json" => print_json(&results.iter().map(|result| to_json(file, result)).collect(), surroundings)?,
        "junit" => surroundings.out.write_all(junit::of(file, &results).as_bytes())?,
        other => bail!("unknown output format: {other}; choose from: text, json, junit"),
    }
    let failed = results.iter().filter(|result| result.failure.is_some()).count();
    if failed > 0 {
        let all = counted(results.len(), "expectation");
        let verb = if failed == 1 { "does" } else { "do" };
        bail!(NotAsWanted(format!("{failed} of {all} {verb} not hold")));
    }
    Ok(())
}

fn judge(expectations: Vec<Expectation>, manifests: &Manifests) -> Vec<Outcome> {
    let index = manifests.index();
    let judge = |expectation: Expectation| {
        let question = &expectation.question;
        let explanation = explain(&index, question);
        let verdict = explanation.answer.verdict;
        let failure = (verdict != expectation.expect).then(|| {
            let change = smallest_change(&index, question.protocol, &explanation)
                .filter(|_| expectation.expect == Verdict::Allowed);
            let (from, to) = &expectation.ends;
            let told =
                Told { question, from, to, explanation: &explanation, change: change.as_ref(), manifests };
            let short = format!("expected {}, but it {}", expectation.expect, text::in_short(&told));
            (short, text::of(&told))
        });
        Outcome { title: title(&expectation), verdict, failure, expectation }
    };
    expectations.into_iter().map(judge).collect()
}

/// Its name, or the connection.
fn title(expectation: &Expectation) -> String {
    let Expectation { name, question, ends: (from, to), expect, line: _ } = expectation;
    name.clone().unwrap_or_else(|| {
        let port = question.port.map(|port| format!(" {port}")).unwrap_or_default();
        format!("{from} -> {to}, {}{port}: {expect}", protocol_name(question.protocol))
    })
}

fn print_lines(file: &str, results: &[Outcome], surroundings: &mut Surroundings<'_>) -> Result<()> {
    for Outcome { expectation, title, verdict: _, failure } in results {
        let title = escape(title);
        match failure {
            None => writeln!(surroundings.out, "ok    {title}")?,
            Some((short, _)) => {
                let place = format!("{}:{}", Escaped(file), expectation.line);
                writeln!(surroundings.out, "FAIL  {title} ({place})")?;
                writeln!(surroundings.out, "      {}", escape(short))?;
            }
        }
    }
    Ok(())
}

fn to_json(file: &str, result: &Outcome) -> Value {
    let Outcome { expectation, title, verdict, failure } = result;
    let Expectation { name: _, question, ends: (from, to), expect, line } = expectation;
    json!({
        "name": title,
        "file": file,
        "line": line,
        "from": from,
        "to": to,
        "port": question.port,
        "protocol": protocol_name(question.protocol),
        "expect": expect.name(),
        "verdict": verdict.name(),
        "holds": failure.is_none(),
        "failure": failure.as_ref().map(|(short, _)| short),
    })
}
