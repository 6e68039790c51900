//! The other end of a direction, as far as it is known.

use std::net::IpAddr;

use palomar_model::netpol::Peer;
use palomar_model::verdict::Direction;
use palomar_model::world::Pod;

use super::index::Index;
use super::missing::Missing;
use super::namespace::NamespaceFacts;
use super::party::{Party, Standing};
use super::path::{Path, Source};
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
    /// The namespace of that subject.
    pub(super) namespace: Option<&'a NamespaceFacts>,
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

/// What a path says of the peer of one direction, whatever its labels and its address are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) exempt: Exempt,
    /// Why the pod that is judged does not see the peer's own address; `None`: it does.
    pub(super) masked: Option<Missing>,
    /// Whether selectors reach it: whether it is a pod, and seen as that pod.
    pub(super) is_selectable: bool,
}

impl Relation {
    const PLAIN: Self = Self { exempt: Exempt::No, masked: None, is_selectable: true };

    /// Of the peer of `own`, which is the end of the path that this direction judges.
    pub(super) fn of(path: &Path<'_>, direction: Direction, own: &Pod) -> Self {
        match direction {
            Direction::Egress => Self::of_destination(own, path),
            Direction::Ingress => Self::of_source(own, path),
        }
    }

    /// Behind a service that hides who connects nobody could tell a pod that connects to itself from others.
    fn of_destination(own: &Pod, path: &Path<'_>) -> Self {
        match path.peer(Direction::Egress).0.judged_pod() {
            Some(pod) if pod.name == own.name && !path.is_hidden => {
                Self { exempt: Exempt::Yes(Exemption::Itself), ..Self::PLAIN }
            }
            Some(_) => Self::PLAIN,
            None => Self { is_selectable: false, ..Self::PLAIN },
        }
    }

    /// Where a service's address was rewritten, that of the source may have been as well.
    fn of_source(own: &Pod, path: &Path<'_>) -> Self {
        let Path { from, service, source, .. } = path;
        let masked = || service.map(|service| Missing::Source { service: service.clone() });
        match from.standing {
            Standing::Pod(pod) if pod.name != own.name => match (source, masked()) {
                (Source::Masked, masked @ Some(_)) => {
                    Self { exempt: Exempt::No, masked, is_selectable: false }
                }
                (Source::MayBeMasked, Some(missing)) => Self {
                    exempt: Exempt::Maybe(missing.clone()),
                    masked: Some(missing),
                    is_selectable: false,
                },
                _ => Self::PLAIN,
            },
            // By way of a service nodes must rewrite the source, or the pod would see its own address.
            Standing::Pod(_) => match masked() {
                None => Self { exempt: Exempt::Yes(Exemption::Itself), ..Self::PLAIN },
                Some(missing) => {
                    let exempt = Exempt::Maybe(missing.clone());
                    Self { exempt, masked: Some(missing), is_selectable: false }
                }
            },
            Standing::Node { name, pod: _ } => {
                let exempt = if name.is_empty() || own.node.is_empty() {
                    let who =
                        if own.node.is_empty() { format!("pod {}", own.name) } else { from.to_string() };
                    Exempt::Maybe(Missing::Node { who })
                } else if name == own.node {
                    Exempt::Yes(Exemption::NodeToItsPod)
                } else {
                    Exempt::No
                };
                Self { exempt, masked: masked(), is_selectable: false }
            }
            // what it is seen by is known already
            Standing::Masked => Self { is_selectable: false, ..Self::PLAIN },
            Standing::Service(_) | Standing::World => {
                Self { masked: masked(), is_selectable: false, ..Self::PLAIN }
            }
        }
    }
}

impl<'a, 'w: 'a> Side<'a, 'w> {
    /// `None`: the end of this direction is nobody whom policies judge.
    pub(super) fn of(index: &'a Index<'w>, path: &Path<'w>, direction: Direction) -> Option<Self> {
        let own = match direction {
            Direction::Ingress => path.to,
            Direction::Egress => path.from,
        };
        let (party, _) = path.peer(direction);
        let pod = own.judged_pod()?;
        let Relation { exempt, masked, is_selectable } = Relation::of(path, direction, pod);
        let selectable = party.judged_pod().filter(|_| is_selectable);
        let subject = selectable.and_then(|pod| index.subject(pod));
        let namespace = selectable.and_then(|pod| index.namespace(pod));
        let address = masked.map_or_else(|| seen_address(&party), Err);
        let peer = PeerFacts { party, subject, namespace, address, exempt };
        Some(Self { direction, pod, endpoint: index.subject(pod)?, peer })
    }
}

/// The address that ipBlocks are asked for, or why it is not known.
pub(super) fn seen_address(party: &Party<'_>) -> Result<IpAddr, Missing> {
    party.address.ok_or_else(|| match party.standing {
        Standing::Pod(pod) | Standing::Node { name: _, pod: Some(pod) } => {
            Missing::Address { name: pod.name.clone() }
        }
        Standing::Node { name: _, pod: None } | Standing::Masked | Standing::Service(_) | Standing::World => {
            Missing::Node { who: party.to_string() }
        }
    })
}

impl PeerFacts<'_, '_> {
    /// Whether a peer of a rule reaches it; `own` is the namespace of the rule's policy.
    pub(super) fn is_reached_by(&self, candidate: &Peer, own: &str) -> Match {
        let reaches = match (candidate, self.subject, self.namespace) {
            (Peer::Block(_), ..) if matches!(self.party.standing, Standing::Service(_)) => Ok(false),
            (Peer::Block(block), _, _) => {
                self.address.as_ref().map(|address| block.contains(*address)).map_err(Missing::clone)
            }
            (Peer::Pods { .. }, Some(subject), Some(namespace)) => {
                let unknown = || Missing::NamespaceLabels { name: subject.namespace.to_owned() };
                namespace.is_selected(subject, candidate, own).ok_or_else(unknown)
            }
            (Peer::Pods { .. }, _, _) => Ok(false),
        };
        match reaches {
            Ok(true) => Match::Yes,
            Ok(false) => Match::No,
            Err(missing) => Match::Unknown(missing),
        }
    }
}
