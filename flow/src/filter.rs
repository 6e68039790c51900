//! Hubble's `FlowFilter`, compiled.
//!
//! All fields of a filter must match, any value of a field, any filter of a list. A filter without fields
//! matches everything. Every test looks at one part of a flow (an end, a service, an address, the event, …), so that a
//! [`Memo`] can decide it once for each distinct value of the part, for all filters at once.

mod cel;
mod cluster;
mod direction;
mod drop_reason;
mod encrypted;
mod endpoint;
mod error;
mod event_type;
mod fqdn;
mod http;
mod identity;
mod interface;
mod ip;
mod ip_version;
mod labels;
mod memo;
mod name;
mod node_name;
mod pattern;
mod pod;
mod port;
mod protocol;
mod reply;
mod service;
mod sieve;
mod size;
mod tcp_flags;
mod test;
mod trace_id;
mod uuid;
mod verdict;
mod workload;

use palomar_proto::flow::FlowFilter;

pub use self::error::{InvalidCel, InvalidFilter};
pub use self::memo::Memo;
pub use self::sieve::Sieve;
use self::test::Test;
use crate::view::{FlowView, Part, Side};

/// How many filters a white list and a black list may have together.
pub const MAX_FILTERS: usize = 2_048;
/// How many values all fields of all filters may have together.
pub const MAX_VALUES: usize = 65_536;
/// How many of the values may be regular expressions: each takes time and memory.
pub const MAX_REGEXPS: usize = 64;
/// How many of the values may be CEL expressions: each is evaluated for each flow.
pub const MAX_CEL_EXPRESSIONS: usize = 16;
/// Bytes that a CEL expression may have.
pub const MAX_CEL_BYTES: usize = 4_096;

const WORDS: usize = MAX_FILTERS.div_ceil(64);

/// A white list and a black list of filters: a flow is wanted if any filter of the white list matches (or that
/// list is empty) and none of the black list.
#[derive(Debug, Default)]
pub struct Filters {
    /// One bit for each filter, those of the white list first.
    whitelist: Vec<u64>,
    blacklist: Vec<u64>,
    /// Whether the white list is not empty.
    needs_white: bool,
    /// By the part of a flow that they look at.
    looks: Vec<Look>,
}

/// What the filters ask of one part of a flow.
#[derive(Debug)]
struct Look {
    part: Part,
    /// The number of a filter, and what it asks: all must pass. Who asks nothing is not here.
    tests: Vec<(usize, Vec<Test>)>,
}

// === impl Filters ===

impl Filters {
    /// Compiles both lists. The error is that of the first wrong field, in the order in which the stock server
    /// looks at them, and in its words.
    pub fn compile(whitelist: &[FlowFilter], blacklist: &[FlowFilter]) -> Result<Self, InvalidFilter> {
        size::check(whitelist, blacklist)?;
        let mut looks: Vec<Look> = Vec::new();
        for (number, filter) in whitelist.iter().chain(blacklist).enumerate() {
            for test in compile(filter)? {
                let part = test.part();
                let at = looks.iter().position(|look| look.part == part).unwrap_or_else(|| {
                    looks.push(Look { part, tests: Vec::new() });
                    looks.len() - 1
                });
                match looks[at].tests.last_mut() {
                    Some((last, tests)) if *last == number => tests.push(test),
                    _ => looks[at].tests.push((number, vec![test])),
                }
            }
        }
        // what is decided for each flow anew comes last
        looks.sort_by_key(|look| look.part.index());
        let (white, all) = (whitelist.len(), whitelist.len() + blacklist.len());
        Ok(Self {
            whitelist: bits(0, white, all),
            blacklist: bits(white, all, all),
            needs_white: white > 0,
            looks,
        })
    }

    /// Whether every flow is wanted, because both lists are empty.
    pub fn is_unrestricted(&self) -> bool {
        self.whitelist.is_empty()
    }

    /// Whether a flow may take as long as a thousand take with other filters.
    pub fn take_long(&self) -> bool {
        self.looks.iter().flat_map(|look| &look.tests).flat_map(|(_, tests)| tests).any(Test::takes_long)
    }

    /// Whether the flow is wanted.
    pub fn matches<V: FlowView>(&self, flow: &V) -> bool {
        match self.words() {
            0 => true,
            words => {
                let alive = &mut [0; WORDS][..words];
                self.begin(alive);
                self.looks.iter().all(|look| {
                    look.cross_out(alive, flow);
                    self.may_match(alive)
                }) && self.is_wanted(alive)
            }
        }
    }

    /// The same, of what a memo remembers: see [`Filters::sift`].
    pub fn matches_with<V: FlowView + Copy>(&self, flow: &V, memo: &mut Memo) -> bool {
        match self.words() {
            0 => true,
            words => {
                let alive = &mut [0; WORDS][..words];
                sieve::cross_out(self, words, alive, |_| *flow, memo);
                self.is_wanted(alive)
            }
        }
    }

    /// The same for many flows at once, which is cheaper: `flow` gives the flow at a position below `count`. The memo
    /// must have been used with these filters only, and with views whose [`key`](FlowView::key) always stands for
    /// the same value.
    pub fn sift<V: FlowView>(
        &self,
        count: usize,
        flow: impl Fn(usize) -> V,
        memo: &mut Memo,
        sieve: &mut Sieve,
    ) {
        sieve.sift(self, count, flow, memo);
    }

    /// How many words the bits of all filters take.
    fn words(&self) -> usize {
        self.whitelist.len()
    }

    /// All filters may match.
    #[inline]
    fn begin(&self, alive: &mut [u64]) {
        let words = alive.len();
        let lists = self.whitelist[..words].iter().zip(&self.blacklist[..words]);
        for (alive, (white, black)) in alive.iter_mut().zip(lists) {
            *alive = white | black;
        }
    }

    /// Whether, of the filters that are left, there are some that let a flow through.
    #[inline]
    fn may_match(&self, alive: &[u64]) -> bool {
        !self.needs_white || meets(alive, &self.whitelist)
    }

    /// Whether a flow is wanted that the filters that are left match.
    #[inline]
    fn is_wanted(&self, alive: &[u64]) -> bool {
        self.may_match(alive) && !meets(alive, &self.blacklist)
    }
}

/// Both are as long.
#[inline]
fn meets(alive: &[u64], list: &[u64]) -> bool {
    let both = alive.iter().zip(&list[..alive.len()]).map(|(alive, list)| alive & list);
    // without a branch for each word
    both.fold(0, |any, word| any | word) != 0
}

// === impl Look ===

impl Look {
    /// Clears the bits of those filters that do not match, of those whose bits are set.
    fn cross_out<V: FlowView>(&self, row: &mut [u64], flow: &V) {
        for (number, tests) in &self.tests {
            let (word, bit) = (&mut row[number / 64], 1 << (number % 64));
            if *word & bit != 0 && !tests.iter().all(|test| test.matches(flow)) {
                *word &= !bit;
            }
        }
    }
}

/// The bits from one number to another, in as many words as all need.
fn bits(from: usize, to: usize, all: usize) -> Vec<u64> {
    let mut words = vec![0; all.div_ceil(64)];
    for number in from..to {
        words[number / 64] |= 1 << (number % 64);
    }
    words
}

/// The tests of one filter. The order decides which of several errors is reported.
fn compile(filter: &FlowFilter) -> Result<Vec<Test>, InvalidFilter> {
    let mut tests = Vec::new();
    tests.extend(uuid::compile(filter));
    tests.extend(event_type::compile(filter));
    tests.extend(verdict::compile(filter));
    tests.extend(drop_reason::compile(filter));
    tests.extend(reply::compile(filter));
    tests.extend(encrypted::compile(filter));
    on_both(&mut tests, |side| Ok(identity::compile(filter, side)))?;
    tests.extend(protocol::compile(filter)?);
    tests.extend(ip::compile(filter)?);
    on_both(&mut tests, |side| pod::compile(filter, side))?;
    on_both(&mut tests, |side| Ok(workload::compile(filter, side)))?;
    tests.extend(service::compile(filter)?);
    tests.extend(fqdn::compile(filter)?);
    on_both(&mut tests, |side| labels::compile(filter, side))?;
    tests.extend(labels::compile_node(filter)?);
    tests.extend(port::compile(filter)?);
    tests.extend(http::compile(filter)?);
    tests.extend(tcp_flags::compile(filter));
    tests.extend(node_name::compile(filter)?);
    on_both(&mut tests, |side| cluster::compile(filter, side))?;
    tests.extend(ip_version::compile(filter));
    tests.extend(trace_id::compile(filter));
    tests.extend(direction::compile(filter));
    tests.extend(cel::compile(filter)?);
    tests.extend(interface::compile(filter));
    tests.extend(trace_id::compile_ip(filter));
    Ok(tests)
}

fn on_both(
    tests: &mut Vec<Test>,
    compile: impl Fn(Side) -> Result<Option<Test>, InvalidFilter>,
) -> Result<(), InvalidFilter> {
    for side in Side::BOTH {
        tests.extend(compile(side)?);
    }
    Ok(())
}
