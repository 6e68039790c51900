//! The shapes of lines that were looked at: what stands between their values, so that a line of a known shape is
//! compared, not looked at key by key.
//!
//! What a look allows depends on the keys alone and, for each value, on its kind. So a line that differs from one that
//! was allowed in nothing but values, each as its kind wants it, is allowed as well. The shapes form a tree: from one
//! value to the next a line may go on in several ways, each a text to compare and the kind of the value that follows.

use std::sync::Arc;

use super::canonical::{Form, Look, Notes};
use super::pick::{Node, Span};
use crate::schema::{Field, Kind};

/// Points of the tree at most; then all begins anew.
const MOST_POINTS: usize = 4096;
/// Ways on from one point at most; others are not learned.
const MOST_WAYS: usize = 64;
/// Bytes of a text between two values at most; a longer one is not learned.
const MOST_TEXT: usize = 1024;
/// So many lines of unknown shapes are learned at once; each line of a known one is worth some more.
const MOST_CREDIT: u32 = 1024;
const CREDIT_OF_A_KNOWN: u32 = 8;
/// Beyond that, where hardly any shape comes again, one of so many is.
const LEARNED_OF_THE_REST: u32 = 64;

/// A value as a shape knows it. Names of enums and flags are no values: they are part of the shape.
#[derive(Debug, Clone)]
pub(super) enum Leaf {
    /// The inside of a string.
    Text {
        /// Whether it may be empty.
        may_be_empty: bool,
    },
    /// The inside of a string that is a time.
    Time,
    /// An integer, without quotes around it.
    Integer {
        /// Decides its range.
        kind: Kind,
        /// Whether it may be zero.
        may_be_zero: bool,
    },
    /// A value that is remembered as a whole.
    Repeated(&'static Field, Arc<Node>),
}

/// A value of a line that was looked at, and where it stands.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) leaf: Leaf,
}

/// A tree of shapes.
#[derive(Debug)]
pub(super) struct Shapes {
    /// The first is where lines begin.
    points: Vec<Vec<Way>>,
    credit: u32,
    /// Lines of unknown shapes that came without credit.
    unlearned: u32,
}

/// What may stand from a point on.
#[derive(Debug)]
struct Way {
    text: Box<[u8]>,
    /// Slots whose values begin in the text, and where in it.
    starts: Box<[(usize, usize)]>,
    /// Slots whose values end in it.
    ends: Box<[(usize, usize)]>,
    /// The value that follows the text, and the point after it; `None`: the line ends.
    next: Option<(Leaf, usize)>,
}

// === impl Leaf ===

impl PartialEq for Leaf {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text { may_be_empty: one }, Self::Text { may_be_empty: other }) => one == other,
            (Self::Time, Self::Time) => true,
            (
                Self::Integer { kind, may_be_zero },
                Self::Integer { kind: other, may_be_zero: other_may_be_zero },
            ) => kind == other && may_be_zero == other_may_be_zero,
            (Self::Repeated(_, node), Self::Repeated(_, other)) => node.id == other.id,
            _ => false,
        }
    }
}

// === impl Shapes ===

impl Default for Shapes {
    fn default() -> Self {
        Self { points: Vec::new(), credit: MOST_CREDIT, unlearned: 0 }
    }
}

impl Shapes {
    /// Whether the shape of the next line is worth to be learned, which costs more than to look at it.
    pub(super) fn is_eager(&mut self) -> bool {
        if self.credit > 0 {
            self.credit -= 1;
            return true;
        }
        self.unlearned = (self.unlearned + 1) % LEARNED_OF_THE_REST;
        self.unlearned == 0
    }

    /// Looks at a line; `None`: its shape is not known, or it is not allowed, and what was noted means nothing.
    pub(super) fn follow(&mut self, line: &[u8], form: Form, notes: &mut Notes<'_>) -> Option<()> {
        let mut look = Look::new(line, form);
        let mut point = 0;
        loop {
            let start = look.at();
            let way = find(self.points.get_mut(point)?, &line[start..])?;
            for (slot, offset) in &way.starts {
                notes.spans[*slot].set_start(start + offset)?;
            }
            for (slot, offset) in &way.ends {
                notes.spans[*slot].set_end(start + offset)?;
            }
            look.pass(way.text.len());
            let Some((leaf, next)) = &way.next else {
                self.credit = (self.credit + CREDIT_OF_A_KNOWN).min(MOST_CREDIT);
                return Some(());
            };
            look.leaf(leaf, notes)?;
            point = *next;
        }
    }

    /// Learns the shape of a line that is allowed: of its values, and of the places of `marked` slots.
    pub(super) fn learn(&mut self, line: &[u8], steps: Vec<Step>, marked: &[usize], spans: &[Span]) {
        if self.points.is_empty() || self.points.len() >= MOST_POINTS {
            self.points = vec![Vec::new()];
        }
        let mut marks = Marks::of(marked, spans);
        let (mut point, mut start) = (0, 0);
        for step in steps.into_iter().map(Some).chain([None]) {
            let (end, after, leaf) = match step {
                Some(Step { start, end, leaf }) => (start, end, Some(leaf)),
                None => (line.len(), line.len(), None),
            };
            let text = &line[start..end];
            let marks = marks.until(start, end);
            let is_it =
                |way: &Way| *way.text == *text && way.next.as_ref().map(|(leaf, _)| leaf) == leaf.as_ref();
            let known = self.points[point].iter().find(|way| is_it(way));
            point = match (known, leaf) {
                (Some(Way { next: Some((_, next)), .. }), _) => *next,
                (Some(_), _) => return,
                (None, leaf) => {
                    if text.len() > MOST_TEXT || self.points[point].len() >= MOST_WAYS {
                        return;
                    }
                    let next = self.points.len();
                    let [starts, ends] = marks;
                    let way = Way { text: text.into(), starts, ends, next: leaf.map(|leaf| (leaf, next)) };
                    self.points[point].push(way);
                    self.points.push(Vec::new());
                    next
                }
            };
            start = after;
        }
    }
}

/// The way that a text begins with; that of a line's end only where nothing follows.
fn find<'w>(ways: &'w mut [Way], rest: &[u8]) -> Option<&'w Way> {
    let begins =
        |way: &Way| rest.starts_with(&way.text) && (way.next.is_some() || rest.len() == way.text.len());
    let mut found = ways.iter().position(begins)?;
    if found > 0 {
        // what comes often comes to stand in front
        ways.swap(found, found - 1);
        found -= 1;
    }
    Some(&ways[found])
}

/// The places of values, in the order of the line.
struct Marks {
    starts: Vec<(usize, usize)>,
    ends: Vec<(usize, usize)>,
}

impl Marks {
    fn of(marked: &[usize], spans: &[Span]) -> Self {
        let noted = || marked.iter().filter(|slot| spans[**slot] != Span::default());
        let mut starts: Vec<_> = noted().map(|slot| (*slot, spans[*slot].start())).collect();
        let mut ends: Vec<_> = noted().map(|slot| (*slot, spans[*slot].end())).collect();
        for places in [&mut starts, &mut ends] {
            places.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
        }
        Self { starts, ends }
    }

    /// Takes those up to `end`, as offsets from `start`.
    fn until(&mut self, start: usize, end: usize) -> [Box<[(usize, usize)]>; 2] {
        [&mut self.starts, &mut self.ends].map(|places| {
            let kept = places.partition_point(|(_, at)| *at > end);
            places.drain(kept..).map(|(slot, at)| (slot, at - start)).collect()
        })
    }
}
