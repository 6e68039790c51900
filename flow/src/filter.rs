//! Hubble's `FlowFilter`, compiled.
//!
//! All fields of a filter must match, any value of a field, any filter of a list. A filter without fields
//! matches everything. Every test looks at one part of a flow (an end, a service, an address, the event, …), so that a
//! [`Memo`] can decide it once for each distinct value of the part, for all filters at once.

mod cluster;
mod direction;
mod drop_reason;
mod encrypted;
mod endpoint;
mod error;
mod event_type;
mod experimental;
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
mod size;
mod tcp_flags;
mod test;
mod trace_id;
mod uuid;
mod verdict;
mod workload;

use palomar_proto::flow::FlowFilter;

pub use self::error::InvalidFilter;
pub use self::memo::Memo;
use self::test::Test;
use crate::view::{FlowView, Part, Side};

/// How many filters a white list and a black list may have together.
pub const MAX_FILTERS: usize = 2_048;
/// How many values all fields of all filters may have together.
pub const MAX_VALUES: usize = 65_536;
/// How many of the values may be regular expressions: each takes time and memory.
pub const MAX_REGEXPS: usize = 64;

const WORDS: usize = MAX_FILTERS.div_ceil(64);

/// A white list and a black list of filters: a flow is wanted if any filter of the white list matches (or that
/// list is empty) and none of the black list.
#[derive(Debug, Default)]
pub struct Filters {
    /// One bit for each filter, those of the white list first.
    whitelist: Vec<u64>,
    blacklist: Vec<u64>,
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
        Ok(Self { whitelist: bits(0, white, all), blacklist: bits(white, all, all), looks })
    }

    /// Whether every flow is wanted, because both lists are empty.
    pub fn is_unrestricted(&self) -> bool {
        self.whitelist.is_empty()
    }

    /// Whether the flow is wanted.
    pub fn matches<V: FlowView>(&self, flow: &V) -> bool {
        self.decide(flow, None)
    }

    /// Whether the flow is wanted. The memo must have been used with these filters only, and with views whose
    /// [`key`](FlowView::key) always stands for the same value.
    pub fn matches_with<V: FlowView>(&self, flow: &V, memo: &mut Memo) -> bool {
        self.decide(flow, Some(memo))
    }

    fn decide<V: FlowView>(&self, flow: &V, memo: Option<&mut Memo>) -> bool {
        match self.whitelist.len() {
            0 => true,
            // nearly all lists; the compiler makes a single number of this array
            1 => self.decide_in(&mut [0], flow, memo),
            words => self.decide_in(&mut [0; WORDS][..words], flow, memo),
        }
    }

    /// Crosses out of `alive` the filters that do not match.
    #[inline]
    fn decide_in<V: FlowView>(&self, alive: &mut [u64], flow: &V, mut memo: Option<&mut Memo>) -> bool {
        for (alive, (white, black)) in alive.iter_mut().zip(self.whitelist.iter().zip(&self.blacklist)) {
            *alive = white | black;
        }
        let needs_white = self.whitelist.iter().any(|word| *word != 0);
        let meets =
            |alive: &[u64], list: &[u64]| alive.iter().zip(list).any(|(alive, list)| alive & list != 0);
        for look in &self.looks {
            match (memo.as_deref_mut(), flow.key(look.part)) {
                (Some(memo), Some(key)) => memo.keep(look.part, key, alive, |row| {
                    row.fill(u64::MAX);
                    look.cross_out(row, flow);
                }),
                _ => look.cross_out(alive, flow),
            }
            if needs_white && !meets(alive, &self.whitelist) {
                return false;
            }
        }
        !meets(alive, &self.blacklist)
    }
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
    experimental::compile(filter)?;
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
