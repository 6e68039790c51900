//! Calls on tcx links and their order.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use aya_obj::generated::{bpf_attach_type, bpf_cmd};

use super::attr::Attr;
use super::object::u32_at;
use crate::abi::Direction;

/// `BPF_F_BEFORE`: without a relative, before all others.
const BEFORE: u32 = 1 << 3;

/// The hook at the host's end of a veth: what is egress for the pod is ingress there.
fn hook(direction: Direction) -> u32 {
    match direction {
        Direction::Egress => bpf_attach_type::BPF_TCX_INGRESS as u32,
        Direction::Ingress => bpf_attach_type::BPF_TCX_EGRESS as u32,
    }
}

/// Attaches as the first program of the hook.
pub(crate) fn create_first(program: &impl AsFd, ifindex: u32, direction: Direction) -> io::Result<OwnedFd> {
    Attr::new()
        .fd(0, program)
        .u32(4, ifindex)
        .u32(8, hook(direction))
        .u32(12, BEFORE)
        .call_fd(bpf_cmd::BPF_LINK_CREATE)
}

/// Swaps the link's program; no packet passes unseen. `ENOLINK`: its interface is gone.
pub(crate) fn update(link: &impl AsFd, program: &impl AsFd) -> io::Result<()> {
    Attr::new().fd(0, link).fd(4, program).call(bpf_cmd::BPF_LINK_UPDATE).map(drop)
}

/// Detaches now, whoever else holds the link.
pub(crate) fn detach(link: &impl AsFd) -> io::Result<()> {
    Attr::new().fd(0, link).call(bpf_cmd::BPF_LINK_DETACH).map(drop)
}

/// Ids of the tcx programs of a hook, in the order in which they run. Needs `CAP_NET_ADMIN` only. `EINVAL`: this kernel
/// has no tcx; `ENODEV`: no such interface.
pub(crate) fn order(ifindex: u32, direction: Direction) -> io::Result<Vec<u32>> {
    // The kernel allows 64 programs a hook (BPF_MPROG_MAX in include/linux/bpf_mprog.h).
    let mut ids = [0; 64 * 4];
    let mut attr = Attr::new().u32(0, ifindex).u32(4, hook(direction)).output(16, &mut ids).u32(24, 64);
    attr.call(bpf_cmd::BPF_PROG_QUERY)?;
    let count = attr.get_u32(24).min(64) as usize;
    Ok(ids.chunks_exact(4).take(count).map(|id| u32_at(id, 0)).collect())
}
