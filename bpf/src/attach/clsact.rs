//! Filters of a clsact qdisc, for kernels without tcx.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcAttribute, TcBpfFlags, TcFilterBpfOption, TcHandle, TcHeader, TcMessage, TcOption,
};

use super::AttachError;
use crate::abi::Direction;
use crate::netlink::Netlink;

/// Low, so that ours runs before what others add without asking for a place; not 1, which other tools ask for.
pub(super) const PRIORITY: u16 = 3;
/// Ours within the priority: "PALO".
pub(super) const HANDLE: u32 = 0x5041_4c4f;
/// `ETH_P_ALL`.
const ALL_PROTOCOLS: u16 = 0x0003;

/// A filter as the kernel lists it.
struct Filter {
    priority: u16,
    handle: u32,
    /// Kernel id of its program, where it is a BPF filter.
    program: Option<u32>,
    /// For people: kind, program name and id.
    text: String,
}

/// Makes the qdisc where it is absent; `true` where it was.
pub(super) fn ensure_qdisc(ifindex: u32) -> Result<bool, AttachError> {
    let message = RouteNetlinkMessage::NewQueueDiscipline(qdisc(ifindex)?);
    match netlink(ifindex)?.change(message, NLM_F_CREATE | NLM_F_EXCL) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(AttachError::kernel(ifindex, "add a clsact qdisc")(error)),
    }
}

/// Puts the program into our place, in place of one of `ours`; `true` where there was one.
pub(super) fn attach(
    program: &OwnedFd,
    name: &str,
    ifindex: u32,
    direction: Direction,
    ours: &BTreeSet<u32>,
) -> Result<bool, AttachError> {
    let there = ours_among(ifindex, direction, ours)?;
    let fd = u32::try_from(program.as_raw_fd()).expect("invariant: an open descriptor is not negative");
    let mut message = our_filter(ifindex, direction)?;
    message.attributes.push(TcAttribute::Options(vec![
        TcOption::Bpf(TcFilterBpfOption::ProgFd(fd)),
        TcOption::Bpf(TcFilterBpfOption::ProgName(name.to_owned())),
        TcOption::Bpf(TcFilterBpfOption::Flags(TcBpfFlags::DirectAction)),
    ]));
    let flags = if there { NLM_F_CREATE } else { NLM_F_CREATE | NLM_F_EXCL };
    netlink(ifindex)?
        .change(RouteNetlinkMessage::NewTrafficFilter(message), flags)
        .map_err(AttachError::kernel(ifindex, "set a tc filter"))?;
    Ok(there)
}

/// Whether one of `ours` is on the interface, in either direction.
pub(super) fn has_ours(ifindex: u32, ours: &BTreeSet<u32>) -> Result<bool, AttachError> {
    for direction in Direction::ALL {
        if ours_among(ifindex, *direction, ours)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes our filters, and the qdisc if it is ours and nobody else uses it.
pub(super) fn remove(ifindex: u32, ours: &BTreeSet<u32>, our_qdisc: bool) -> Result<(), AttachError> {
    let mut empty = true;
    for direction in Direction::ALL {
        match ours_among(ifindex, *direction, ours) {
            Ok(true) => {
                let message = RouteNetlinkMessage::DelTrafficFilter(our_filter(ifindex, *direction)?);
                netlink(ifindex)?
                    .change(message, 0)
                    .map_err(AttachError::kernel(ifindex, "remove a tc filter"))?;
            }
            // What stands in our place now was put there by somebody else.
            Ok(false) | Err(AttachError::Foreign { .. }) => {}
            Err(error) => return Err(error),
        }
        empty &= filters(ifindex, *direction)?.is_empty();
    }
    if our_qdisc && empty {
        let message = RouteNetlinkMessage::DelQueueDiscipline(qdisc(ifindex)?);
        netlink(ifindex)?
            .change(message, 0)
            .map_err(AttachError::kernel(ifindex, "remove the clsact qdisc"))?;
    }
    Ok(())
}

/// Program ids of the filters of a hook in order, 0 for a filter of another kind; none without a qdisc.
pub(super) fn order(ifindex: u32, direction: Direction) -> Result<Vec<u32>, AttachError> {
    let mut filters = filters(ifindex, direction)?;
    filters.sort_by_key(|filter| filter.priority);
    Ok(filters.iter().map(|filter| filter.program.unwrap_or(0)).collect())
}

/// Whether a filter in our place is ours; an error where it is somebody else's.
fn ours_among(ifindex: u32, direction: Direction, ours: &BTreeSet<u32>) -> Result<bool, AttachError> {
    let filters = filters(ifindex, direction)?;
    let Some(there) = filters.iter().find(|filter| filter.priority == PRIORITY && filter.handle == HANDLE)
    else {
        return Ok(false);
    };
    if there.program.is_some_and(|id| ours.contains(&id)) {
        return Ok(true);
    }
    Err(AttachError::Foreign { ifindex, hook: hook(direction), owner: there.text.clone() })
}

fn filters(ifindex: u32, direction: Direction) -> Result<Vec<Filter>, AttachError> {
    let message = TcMessage::from_parts(header(ifindex, direction)?, Vec::new());
    let dumped = match netlink(ifindex)?.dump(RouteNetlinkMessage::GetTrafficFilter(message)) {
        Ok(dumped) => dumped,
        // No clsact qdisc there.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return Ok(Vec::new()),
        Err(error) => return Err(AttachError::kernel(ifindex, "list tc filters")(error)),
    };
    let filter = |message| match message {
        Ok(RouteNetlinkMessage::NewTrafficFilter(message)) => Filter::read(&message),
        Ok(_) => None,
        // Somebody's, of a kind that cannot be read; it counts as being there.
        Err(_) => Some(Filter {
            priority: 0,
            handle: u32::MAX,
            program: None,
            text: "an unknown filter".to_owned(),
        }),
    };
    Ok(dumped.into_iter().filter_map(filter).collect())
}

impl Filter {
    /// `None` for the entry that stands for a whole priority.
    fn read(message: &TcMessage) -> Option<Self> {
        let TcHeader { handle, info, .. } = &message.header;
        let handle = u32::from(*handle);
        if handle == 0 {
            return None;
        }
        let mut kind = "unknown";
        let mut name = "";
        let mut program = None;
        for attribute in &message.attributes {
            match attribute {
                TcAttribute::Kind(is) => kind = is,
                TcAttribute::Options(options) => {
                    for option in options {
                        match option {
                            TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => program = Some(*id),
                            TcOption::Bpf(TcFilterBpfOption::ProgName(is)) => name = is,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        let text = match program {
            Some(id) => format!("a {kind} filter with program {name:?} (id {id})"),
            None => format!("a filter of kind {kind:?}"),
        };
        let priority = u16::try_from(info >> 16).expect("invariant: shifted to 16 bits");
        Some(Self { priority, handle, program, text })
    }
}

fn our_filter(ifindex: u32, direction: Direction) -> Result<TcMessage, AttachError> {
    let mut header = header(ifindex, direction)?;
    header.handle = HANDLE.into();
    header.info = u32::from(PRIORITY) << 16 | u32::from(ALL_PROTOCOLS.to_be());
    Ok(TcMessage::from_parts(header, vec![TcAttribute::Kind("bpf".to_owned())]))
}

fn qdisc(ifindex: u32) -> Result<TcMessage, AttachError> {
    let handle = TcHandle { major: u16::MAX, minor: 0 };
    let header = TcHeader { index: index(ifindex)?, parent: TcHandle::CLSACT, handle, ..TcHeader::default() };
    Ok(TcMessage::from_parts(header, vec![TcAttribute::Kind("clsact".to_owned())]))
}

fn header(ifindex: u32, direction: Direction) -> Result<TcHeader, AttachError> {
    let minor = match direction {
        Direction::Egress => TcHandle::MIN_INGRESS,
        Direction::Ingress => TcHandle::MIN_EGRESS,
    };
    let parent = TcHandle { major: u16::MAX, minor };
    Ok(TcHeader { index: index(ifindex)?, parent, ..TcHeader::default() })
}

fn index(ifindex: u32) -> Result<i32, AttachError> {
    i32::try_from(ifindex).map_err(|_| AttachError::Gone { ifindex })
}

fn netlink(ifindex: u32) -> Result<Netlink, AttachError> {
    Netlink::open().map_err(AttachError::kernel(ifindex, "open rtnetlink"))
}

fn hook(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "ingress",
        Direction::Ingress => "egress",
    }
}
