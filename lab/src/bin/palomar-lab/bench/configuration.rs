//! What runs beside the traffic.

use super::agent::{Agent, Mode};
use super::site::Site;
use super::tcpdump::Tcpdump;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Configuration {
    /// Nothing.
    Bare,
    /// The agent with its defaults, on all veths.
    Audit,
    /// The agent, with policies that isolate both pods.
    Enforce,
    /// tcpdump on the server's veth.
    Tcpdump,
    /// The same, of 96 bytes of each packet.
    TcpdumpShort,
}

/// A configuration in force.
#[derive(Debug)]
pub enum Running<'a> {
    /// Nothing to be stopped.
    Nothing,
    /// An agent.
    Agent(Agent<'a>),
    /// tcpdump.
    Tcpdump(Tcpdump),
}

// === impl Configuration ===

impl Configuration {
    /// All; the first is what the others are compared with.
    pub const ALL: [Self; 5] = [Self::Bare, Self::Audit, Self::Enforce, Self::Tcpdump, Self::TcpdumpShort];

    /// What people read.
    pub fn label(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Audit => "palomar, audit (default)",
            Self::Enforce => "palomar, enforce, isolated",
            Self::Tcpdump => "tcpdump -w /dev/null",
            Self::TcpdumpShort => "tcpdump -s 96 -w /dev/null",
        }
    }

    /// Brings it into force.
    pub fn start<'a>(self, site: &'a Site<'_>) -> anyhow::Result<Running<'a>> {
        Ok(match self {
            Self::Bare => Running::Nothing,
            Self::Audit => Running::Agent(Agent::start(site, Mode::Audit, None)?),
            Self::Enforce => Running::Agent(Agent::start(site, Mode::Enforce, None)?),
            Self::Tcpdump => Running::Tcpdump(Tcpdump::start(site, &[])?),
            Self::TcpdumpShort => Running::Tcpdump(Tcpdump::start(site, &["-s", "96"])?),
        })
    }
}

// === impl Running ===

impl Running<'_> {
    /// The process beside the traffic.
    pub fn pid(&self) -> Option<u32> {
        match self {
            Self::Nothing => None,
            Self::Agent(agent) => Some(agent.pid()),
            Self::Tcpdump(tcpdump) => Some(tcpdump.pid()),
        }
    }

    /// Ends it; what it has lost of the events or packets that it was to see.
    pub fn stop(self) -> anyhow::Result<u64> {
        match self {
            Self::Nothing => Ok(0),
            Self::Agent(agent) => {
                let lost = agent.status()?.lost;
                agent.remove()?;
                Ok(lost)
            }
            Self::Tcpdump(tcpdump) => tcpdump.stop(),
        }
    }
}
