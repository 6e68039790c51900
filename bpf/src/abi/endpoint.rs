//! Observed interfaces, and the settings that hold for all of them.

use super::{PolicyWord, numbered};
use bytemuck::{Pod, Zeroable};

/// Interfaces with an index below this stand in the array `endpoints`; the others in the hash `endpoints_high`.
pub const ENDPOINTS_DENSE: u32 = 65536;

/// One observed interface.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Endpoint {
    /// What policy holds; stored at once.
    pub policy: PolicyWord,
    /// Until then a UDP packet of an unknown connection may have either orientation.
    pub unjudged_udp_until: u64,
    /// The endpoint number that flows show; 0: the interface is not observed.
    pub id: u32,
    /// Internal identity of the pod behind the interface.
    pub identity: u32,
}

const _: () = assert!(size_of::<Endpoint>() == 24);

numbered! {
    /// What happens to a packet that policy denies.
    Mode: u32 {
        /// Policy is not evaluated.
        Off = 0,
        /// The packet passes and is reported.
        Audit = 1,
        /// The packet is dropped where its endpoint is enforced.
        Enforce = 2,
    }
}

/// The one entry of map `settings`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Settings {
    /// A [`Mode`]; with `epoch` one aligned word, stored at once.
    pub mode: u32,
    /// Raised with every change of mode: every connection is judged again.
    pub epoch: u32,
    /// When the agent last said that it lives; 0: never.
    pub heartbeat: u64,
    /// 0: keep enforcing without an agent; else audit once the heartbeat is older than this many nanoseconds.
    pub stale_after: u64,
}

const _: () = assert!(size_of::<Settings>() == 24);
