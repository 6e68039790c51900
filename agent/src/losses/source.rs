//! Where events are lost.

use super::stage::Stage;

/// A place where events can be lost, in the order in which they pass it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LossSource {
    /// Left out by the kernel's rate limit on drops and denied verdicts.
    RateLimited,
    /// Drop events that did not fit the kernel's ring buffer.
    KernelRingDrop,
    /// Trace events that did not fit the kernel's ring buffer.
    KernelRingTrace,
    /// Policy-verdict events that did not fit the kernel's ring buffer.
    KernelRingPolicyVerdict,
    /// Records of the kernel's ring buffer that are no events of this version.
    InvalidRecord,
    /// Events that did not fit the queue between the two threads of the agent.
    QueueFull,
    /// Events that tell what cannot be.
    Decode,
    /// Packets that left a pod for another on this node, of which it cannot be told whether they were delivered: events
    /// were lost at that time, the delivery may have had another source address, the other pod was not watched yet, or
    /// too many were waited for.
    FateUnknown,
    /// Flows that were overwritten before a reader came to them; each reader's count adds to this one.
    ReaderOvertaken,
}

// === impl LossSource ===

impl LossSource {
    /// All sources.
    pub const ALL: [Self; 9] = [
        Self::RateLimited,
        Self::KernelRingDrop,
        Self::KernelRingTrace,
        Self::KernelRingPolicyVerdict,
        Self::InvalidRecord,
        Self::QueueFull,
        Self::Decode,
        Self::FateUnknown,
        Self::ReaderOvertaken,
    ];

    /// The name in metrics and in `palomar status`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::KernelRingDrop => "kernel_ring_drop",
            Self::KernelRingTrace => "kernel_ring_trace",
            Self::KernelRingPolicyVerdict => "kernel_ring_policy_verdict",
            Self::InvalidRecord => "invalid_record",
            Self::QueueFull => "queue_full",
            Self::Decode => "decode",
            Self::FateUnknown => "fate_unknown",
            Self::ReaderOvertaken => "reader_overtaken",
        }
    }

    /// The part of the event path that loses them.
    pub const fn stage(self) -> Stage {
        match self {
            Self::RateLimited
            | Self::KernelRingDrop
            | Self::KernelRingTrace
            | Self::KernelRingPolicyVerdict => Stage::Kernel,
            Self::InvalidRecord | Self::QueueFull => Stage::Reader,
            Self::Decode | Self::FateUnknown => Stage::Enricher,
            Self::ReaderOvertaken => Stage::Queries,
        }
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}
