//! What the programs count, per CPU.

use super::numbered;

numbered! {
    /// Index into map `counters`.
    Counter: u32 {
        /// Drop events that did not fit the ring.
        LostDrop = 0,
        /// Trace events that did not fit the ring.
        LostTrace = 1,
        /// Policy-verdict events that did not fit the ring.
        LostPolicyVerdict = 2,
        /// Events left out by the rate limit.
        Suppressed = 3,
        /// Packets let through because either orientation of their connection is allowed.
        MidConnection = 4,
        /// Packets whose headers could not be read.
        Malformed = 5,
        /// Connections that could not be entered.
        ConnectionsFull = 6,
        /// Packets let through because the agent's heartbeat is stale.
        StaleAudit = 7,
        /// Packets that passed.
        Forwarded = 8,
        /// Packets that were dropped.
        Dropped = 9,
        /// Drop events that went into the ring.
        ToldDrop = 10,
        /// Trace events that went into the ring.
        ToldTrace = 11,
        /// Policy-verdict events that went into the ring.
        ToldPolicyVerdict = 12,
    }
}

/// Number of counters.
pub const COUNTERS: usize = Counter::ALL.len();
