//! One look at the tracked connections.

use std::collections::VecDeque;
use std::sync::Arc;

use palomar_bpf::MapError;
use palomar_bpf::abi::Lifetimes;
use palomar_flow::filter::{Filters, Memo};
use palomar_proto::palomar::v1;

use super::filter::{InvalidConnectionFilter, compile};
use super::message::message;
use super::names::Names;
use super::rank::{RankBy, Top};
use super::tables::{ConnectionTables, ConnectionWalk};
use super::tracked::{Reader, Seen, Tracked};
use super::view::ConnectionView;
use crate::directory::Directory;
use crate::enrich::Attributions;

/// The greatest limit: so many are held in memory until the walk has ended, at 300 bytes each.
pub const MAX_LIMIT: u32 = 10_000;
/// Connections a message: about 100 kB.
const MESSAGE: usize = 256;

/// Where the knowledge of a query comes from.
#[derive(Clone)]
pub struct Sources {
    /// The kernel's tables.
    pub tables: Arc<dyn ConnectionTables>,
    /// Who is who.
    pub directory: Arc<Directory>,
    /// The meaning of the kernel's policy numbers.
    pub attributions: Arc<dyn Attributions>,
}

/// A request that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuery {
    /// A filter that cannot be asked of connections.
    #[error(transparent)]
    Filter(#[from] InvalidConnectionFilter),
    /// A number that is no state.
    #[error("{number} is no state of a connection; choose from 1 to {}", v1::ConnectionState::Active as i32)]
    State {
        /// The number.
        number: i32,
    },
    /// A number that is no rank.
    #[error("{number} is nothing to rank connections by; choose from 0 to {}", v1::ConnectionRank::Idle as i32)]
    Rank {
        /// The number.
        number: i32,
    },
    /// More than is held.
    #[error("a limit of {0} connections; choose up to {MAX_LIMIT}, or 0 for all")]
    Limit(u32),
}

/// One look at the table: gives the connections that were asked for, then what they were made from. Of the table it
/// holds one batch, and as many connections as the limit says.
pub struct Query {
    sources: Sources,
    wanted: Wanted,
    names: Names,
    memo: Memo,
    /// `None` once it has ended.
    walk: Option<Box<dyn ConnectionWalk>>,
    /// With a limit: the best so far.
    top: Option<Top<Tracked>>,
    ready: VecDeque<v1::ListConnectionsResponse>,
    totals: v1::ConnectionTotals,
}

/// What a request asks for.
struct Wanted {
    filters: Filters,
    /// Empty: any.
    states: Vec<v1::ConnectionState>,
    rank_by: RankBy,
}

// === impl Wanted ===

impl Wanted {
    fn matches(&self, tracked: &Tracked, names: &mut Names, memo: &mut Memo) -> Result<bool, MapError> {
        let state = v1::ConnectionState::from(tracked.told_by().state());
        if !self.states.is_empty() && !self.states.contains(&state) {
            return Ok(false);
        }
        if self.filters.is_unrestricted() {
            return Ok(true);
        }
        let [source, destination] = tracked.ends(names);
        let ends = [(source, names.number(source.whose)?), (destination, names.number(destination.whose)?)];
        let view = ConnectionView { names, protocol: tracked.told_by().key.protocol, ends };
        let mut matches = |view| self.filters.matches_with(&view, memo);
        Ok(matches(view) || (!tracked.is_oriented && matches(view.turned())))
    }
}

// === impl Query ===

impl Query {
    /// Checks a request and makes ready for it; the table is not looked at yet.
    pub fn new(request: &v1::ListConnectionsRequest, sources: Sources) -> Result<Self, InvalidQuery> {
        let v1::ListConnectionsRequest { whitelist, blacklist, states, limit, rank_by, least } = request;
        let states = states.iter().map(|number| match v1::ConnectionState::try_from(*number) {
            Ok(v1::ConnectionState::Unspecified) | Err(_) => Err(InvalidQuery::State { number: *number }),
            Ok(state) => Ok(state),
        });
        let wanted = Wanted {
            filters: compile(whitelist, blacklist).map_err(InvalidQuery::Filter)?,
            states: states.collect::<Result<_, _>>()?,
            rank_by: v1::ConnectionRank::try_from(*rank_by)
                .map_err(|_| InvalidQuery::Rank { number: *rank_by })?
                .into(),
        };
        let top = match *limit {
            0 => None,
            1..=MAX_LIMIT => Some(*limit as usize),
            more => return Err(InvalidQuery::Limit(more)),
        };
        Ok(Self {
            walk: Some(sources.tables.walk()),
            totals: v1::ConnectionTotals {
                capacity: sources.tables.capacity().into(),
                ..v1::ConnectionTotals::default()
            },
            names: Names::new(sources.clone()),
            memo: Memo::default(),
            wanted,
            top: top.map(|limit| Top::new(limit, *least)),
            ready: VecDeque::new(),
            sources,
        })
    }

    /// The next message; `None` after the last. Blocks for a few milliseconds where there is no limit, else for as
    /// long as the whole table takes.
    pub fn next_message(&mut self) -> Result<Option<v1::ListConnectionsResponse>, MapError> {
        while self.ready.is_empty() && self.walk.is_some() {
            self.step()?;
        }
        Ok(self.ready.pop_front())
    }

    /// Looks at one batch of the table.
    fn step(&mut self) -> Result<(), MapError> {
        let Some(mut walk) = self.walk.take() else { return Ok(()) };
        let Some((keys, connections)) = walk.next()? else { return self.end() };
        if self.names.forget_if_full() {
            self.memo.clear();
        }
        let now_ns = self.sources.tables.now_ns();
        let mut found = Vec::new();
        for (key, connection) in keys.iter().zip(connections) {
            self.totals.entries += 1;
            let reader = Reader {
                names: &self.names,
                tables: &*self.sources.tables,
                now_ns,
                lifetimes: Lifetimes::default(),
            };
            match reader.read(key, connection)? {
                Seen::Over => self.totals.over += 1,
                Seen::ByTheOther => {}
                Seen::Tracked(tracked) => {
                    if self.wanted.matches(&tracked, &mut self.names, &mut self.memo)? {
                        self.totals.matching += 1;
                        found.push(tracked);
                    }
                }
            }
        }
        self.walk = Some(walk);
        match &mut self.top {
            None => self.tell(&found, now_ns),
            Some(top) => {
                for tracked in found {
                    top.offer(self.wanted.rank_by.amount(&tracked, now_ns), tracked);
                }
                Ok(())
            }
        }
    }

    /// After the last batch.
    fn end(&mut self) -> Result<(), MapError> {
        if let Some(top) = self.top.take() {
            let best: Vec<Tracked> = top.into_items().collect();
            let sent = u64::try_from(best.len()).expect("invariant: a count fits");
            self.totals.withheld = self.totals.matching - sent;
            self.tell(&best, self.sources.tables.now_ns())?;
        }
        let totals = Some(self.totals);
        self.ready.push_back(v1::ListConnectionsResponse { connections: Vec::new(), totals });
        Ok(())
    }

    fn tell(&mut self, found: &[Tracked], now_ns: u64) -> Result<(), MapError> {
        for part in found.chunks(MESSAGE) {
            let connections =
                part.iter().map(|tracked| message(tracked, now_ns, &mut self.names, &self.sources));
            let connections = connections.collect::<Result<_, _>>()?;
            self.ready.push_back(v1::ListConnectionsResponse { connections, totals: None });
        }
        Ok(())
    }
}
