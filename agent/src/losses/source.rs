//! Where events are lost.

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
    /// Records that are no events.
    Decode,
    /// Events that did not fit the queue between the two threads of the agent.
    QueueFull,
    /// Flows that were overwritten before a reader came to them; each reader's count adds to this one.
    ReaderOvertaken,
}

// === impl LossSource ===

impl LossSource {
    /// All sources.
    pub const ALL: [Self; 7] = [
        Self::RateLimited,
        Self::KernelRingDrop,
        Self::KernelRingTrace,
        Self::KernelRingPolicyVerdict,
        Self::Decode,
        Self::QueueFull,
        Self::ReaderOvertaken,
    ];

    /// The name in metrics and in `palomar status`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::KernelRingDrop => "kernel_ring_drop",
            Self::KernelRingTrace => "kernel_ring_trace",
            Self::KernelRingPolicyVerdict => "kernel_ring_policy_verdict",
            Self::Decode => "decode",
            Self::QueueFull => "queue_full",
            Self::ReaderOvertaken => "reader_overtaken",
        }
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}
