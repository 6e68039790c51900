//! One question, with all reasons.

use anyhow::{Result, bail};
use palomar_policy::explain::{Change, Explanation, Question, explain, smallest_change};

use super::manifests::Manifests;
use super::{json, question, text};
use crate::arguments::Given;
use crate::palomar_api::print_json;
use crate::surroundings::Surroundings;

/// What was asked, and everything that is said of it.
pub struct Told<'t> {
    pub question: &'t Question,
    /// The ends as they were written.
    pub from: &'t str,
    pub to: &'t str,
    pub explanation: &'t Explanation<'t>,
    pub change: Option<&'t Change>,
    pub manifests: &'t Manifests,
}

/// What is asked, from flags; and that its answer can be printed.
pub fn asked(given: &Given) -> Result<Question> {
    let question = question::from_flags(given)?;
    match given.text("output").unwrap_or("text") {
        "text" | "json" => Ok(question),
        other => bail!("unknown output format: {other}; choose from: text, json"),
    }
}

/// `policy explain` without `--probes`.
pub fn run(
    given: &Given,
    question: &Question,
    manifests: &Manifests,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let index = manifests.index();
    let explanation = explain(&index, question);
    let change = smallest_change(&index, question.protocol, &explanation);
    let told = Told {
        question,
        from: given.text("from").unwrap_or_default(),
        to: given.text("to").unwrap_or_default(),
        explanation: &explanation,
        change: change.as_ref(),
        manifests,
    };
    match given.text("output") {
        Some("json") => print_json(&json::of(&told), surroundings),
        _ => Ok(surroundings.out.write_all(text::of(&told).as_bytes())?),
    }
}
