//! May this end connect to that one, and why: who isolates, which rule decides, why every other did not, and the
//! smallest change that would allow it. Pure, and in step with [`crate::decide`]: an answer is given only where every
//! fact that it hangs on is known.
//!
//! | module | holds |
//! |---|---|
//! | `question` | the ends, as users write them |
//! | `index` | a world, prepared: who has which address |
//! | `namespace` | the labels of a namespace, as far as they are known |
//! | `party` | who an end is |
//! | `path` | a way that a connection may take, from address to address |
//! | `target` | from a question to its ways: the pods behind a service, or behind a node's port |
//! | `peer` | the other end of a direction, as far as it is known |
//! | `rules` | one direction, rule by rule |
//! | `clause` | the first clause of a rule that does not hold |
//! | `missing` | facts that would have to be known |
//! | `change` | the smallest change that would allow it |
//! | `answer` | verdicts, and who decided |
//! | `prober` | many questions to one world |

mod answer;
mod change;
mod clause;
mod index;
mod missing;
mod namespace;
mod party;
mod path;
mod peer;
mod prober;
mod question;
mod rules;
mod target;

use palomar_model::packet::Protocol;
use palomar_model::verdict::Direction;

pub use answer::{Answer, Deciding, DirectionAnswer, Verdict};
pub use change::{Change, Edit, smallest_change};
pub use clause::Clause;
pub use index::{Index, Masquerade};
pub use missing::Missing;
pub use party::{Party, Standing};
pub use path::{Path, Source};
pub use prober::{EndId, Prober};
pub use question::{End, InvalidEnd, Question};
pub use rules::{DirectionExplanation, Outcome, RuleExplanation};

use peer::Side;

/// The whole answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation<'w> {
    /// The short form.
    pub answer: Answer<'w>,
    /// Every way that the connection may take; empty where an end is not known.
    pub paths: Vec<PathExplanation<'w>>,
}

/// One way that the connection may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathExplanation<'w> {
    /// Which.
    pub path: Path<'w>,
    /// Both directions together; denied as well where the way is closed by another.
    pub verdict: Verdict,
    /// At the end that connects, for this way alone.
    pub egress: DirectionExplanation<'w>,
    /// At the end that answers.
    pub ingress: DirectionExplanation<'w>,
    /// Who else stands behind the service that may not be connected to, where nodes hide who connects, so that it cannot be
    /// told which of the two it will be: egress is then denied. `None`: this way is judged by itself.
    pub closed_by: Option<Party<'w>>,
}

/// Answers a question. Many are answered faster by a [`Prober`].
pub fn explain<'w>(index: &Index<'w>, question: &Question) -> Explanation<'w> {
    match target::resolve(index, question) {
        Ok(paths) => {
            let paths = paths.into_iter().map(|path| PathExplanation::of(index, path, question.protocol));
            let mut paths: Vec<_> = paths.collect();
            let mut answers: Vec<_> = paths.iter().map(|path| (path.path, path.answer())).collect();
            answer::close(&mut answers);
            close(&mut paths);
            Explanation { answer: answer::combine(answers), paths }
        }
        Err(missing) => Explanation { answer: Answer::unknown(missing), paths: Vec::new() },
    }
}

/// Closes the ways that cannot be told from one that may not be gone.
fn close(paths: &mut [PathExplanation<'_>]) {
    let closing = answer::closing(&paths.iter().map(|path| (&path.path, path.egress.answer.verdict)));
    for at in 0..paths.len() {
        let PathExplanation { path, egress, .. } = &paths[at];
        let Some(by) = answer::closed_by(closing, path, egress.answer.verdict) else { continue };
        paths[at].closed_by = Some(paths[by].path.to);
        paths[at].verdict = Verdict::Denied;
    }
}

// === impl PathExplanation ===

impl<'w> PathExplanation<'w> {
    fn of(index: &Index<'w>, path: Path<'w>, protocol: Protocol) -> Self {
        let direction = |direction| {
            let unknown = path.unknown(protocol).filter(|_| direction == Direction::Ingress);
            match (unknown, Side::of(index, &path, direction)) {
                (Some(missing), _) => DirectionExplanation::unknown(missing),
                (None, Some(side)) => {
                    DirectionExplanation::of(index, &side, protocol, path.peer(direction).1)
                }
                (None, None) => DirectionExplanation::NOT_JUDGED,
            }
        };
        let (egress, ingress) = (direction(Direction::Egress), direction(Direction::Ingress));
        let verdict = egress.answer.verdict.both(ingress.answer.verdict);
        Self { path, verdict, egress, ingress, closed_by: None }
    }

    /// One of its directions.
    pub fn direction(&self, direction: Direction) -> &DirectionExplanation<'w> {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    fn answer(&self) -> Answer<'w> {
        // Where one direction is denied, what the other hangs on changes nothing.
        let is_open = self.verdict == Verdict::Undecidable;
        let sides = [&self.egress, &self.ingress].into_iter().filter(|_| is_open);
        let missing = sides.flat_map(|side| side.missing.clone());
        Answer {
            verdict: self.verdict,
            egress: self.egress.answer.clone(),
            ingress: self.ingress.answer.clone(),
            missing: missing.collect(),
        }
    }
}
