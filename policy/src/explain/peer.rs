//! The other end of a direction, as far as it is known.

use std::net::IpAddr;

use palomar_model::netpol::Peer;
use palomar_model::verdict::Direction;
use palomar_model::world::Pod;

use super::index::Index;
use super::missing::Missing;
use super::path::{Party, Path, Standing};
use crate::decide::Exemption;
use crate::subject::Subject;

/// One direction of a path: the pod that is judged, and whom it is judged for.
#[derive(Debug, Clone)]
pub(super) struct Side<'a, 'w> {
    pub(super) direction: Direction,
    pub(super) pod: &'w Pod,
    /// The pod as selectors see it.
    pub(super) endpoint: Subject<'a>,
    pub(super) peer: PeerFacts<'a, 'w>,
}

/// What is known of a peer.
#[derive(Debug, Clone)]
pub(super) struct PeerFacts<'a, 'w> {
    /// Who it is, for words.
    pub(super) party: Party<'w>,
    /// As selectors see it; `None`: no selector reaches it.
    pub(super) subject: Option<Subject<'a>>,
    /// The address that ipBlocks are asked for, or why it is not known.
    pub(super) address: Result<IpAddr, Missing>,
    /// Whether it is always allowed.
    pub(super) exempt: Exempt,
}

/// Whether traffic is always allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Exempt {
    No,
    Yes(Exemption),
    /// It is, unless this turns out otherwise.
    Maybe(Missing),
}

/// Three values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Match {
    Yes,
    No,
    Unknown(Missing),
}

impl<'a, 'w: 'a> Side<'a, 'w> {
    /// `None`: the end of this direction is nobody whom policies judge.
    pub(super) fn of(index: &'a Index<'w>, path: &Path<'w>, direction: Direction) -> Option<Self> {
        let (own, other) = match direction {
            Direction::Ingress => (path.to, path.from),
            Direction::Egress => (path.from, path.to),
        };
        let pod = own.judged_pod()?;
        let peer = match direction {
            Direction::Ingress => source(index, path, pod, other),
            Direction::Egress => destination(index, pod, other),
        };
        Some(Self { direction, pod, endpoint: index.subject(pod)?, peer })
    }
}

fn destination<'a, 'w: 'a>(index: &'a Index<'w>, own: &Pod, to: Party<'w>) -> PeerFacts<'a, 'w> {
    let exempt = match to.judged_pod() {
        Some(pod) if pod.name == own.name => Exempt::Yes(Exemption::Itself),
        _ => Exempt::No,
    };
    plain(index, to, exempt)
}

fn source<'a, 'w: 'a>(
    index: &'a Index<'w>,
    path: &Path<'w>,
    own: &Pod,
    from: Party<'w>,
) -> PeerFacts<'a, 'w> {
    // Where a service's address was rewritten, that of a source from outside may have been as well.
    let masked = path.service.map(|service| Missing::Source { service: service.clone() });
    match from.standing {
        Standing::Pod(pod) if pod.name == own.name => match masked {
            None => plain(index, from, Exempt::Yes(Exemption::Itself)),
            // Nodes must rewrite the source then, or the pod would see its own address.
            Some(missing) => PeerFacts {
                party: from,
                subject: None,
                address: Err(missing.clone()),
                exempt: Exempt::Maybe(missing),
            },
        },
        Standing::Pod(_) => plain(index, from, Exempt::No),
        Standing::Node { name, pod: _ } => {
            let exempt = if name.is_empty() || own.node.is_empty() {
                let who = if own.node.is_empty() { format!("pod {}", own.name) } else { from.to_string() };
                Exempt::Maybe(Missing::Node { who })
            } else if name == own.node {
                Exempt::Yes(Exemption::NodeToItsPod)
            } else {
                Exempt::No
            };
            let facts = plain(index, from, exempt);
            PeerFacts { address: masked.map_or(facts.address, Err), ..facts }
        }
        Standing::World => {
            let facts = plain(index, from, Exempt::No);
            PeerFacts { address: masked.map_or(facts.address, Err), ..facts }
        }
    }
}

fn plain<'a, 'w: 'a>(index: &'a Index<'w>, party: Party<'w>, exempt: Exempt) -> PeerFacts<'a, 'w> {
    let pod = match party.standing {
        Standing::Pod(pod) | Standing::Node { name: _, pod: Some(pod) } => Some(pod),
        Standing::Node { name: _, pod: None } | Standing::World => None,
    };
    let unknown = || match pod {
        Some(pod) => Missing::Address { name: pod.name.clone() },
        None => Missing::Node { who: party.to_string() },
    };
    PeerFacts {
        party,
        subject: party.judged_pod().and_then(|pod| index.subject(pod)),
        address: party.address.ok_or_else(unknown),
        exempt,
    }
}

impl PeerFacts<'_, '_> {
    /// Whether a peer of a rule reaches it; `own` is the namespace of the rule's policy.
    pub(super) fn is_reached_by(&self, candidate: &Peer, own: &str) -> Match {
        let reaches = match candidate {
            Peer::Block(block) => match &self.address {
                Ok(address) => block.contains(*address),
                Err(missing) => return Match::Unknown(missing.clone()),
            },
            Peer::Pods { .. } => self.subject.is_some_and(|subject| subject.is_selected_by(candidate, own)),
        };
        if reaches { Match::Yes } else { Match::No }
    }
}
