//! palomar-agent: the per-node flow observer
