//! `source_port`, `destination_port`.

use palomar_proto::flow::FlowFilter;

use super::InvalidFilter;
use super::test::Test;
use crate::view::{FlowView, Part, Side};

/// Ports of one side, of which one must be the flow's. Only TCP, UDP and SCTP have ports.
#[derive(Debug)]
pub(super) struct Ports {
    side: Side,
    ports: Vec<u16>,
}

pub(super) fn compile(filter: &FlowFilter) -> Result<Vec<Test>, InvalidFilter> {
    let mut tests = Vec::new();
    for side in Side::BOTH {
        let ports = side.of(&filter.source_port, &filter.destination_port);
        let invalid =
            |text: &str, reason| InvalidFilter::Port { side: side.name(), text: text.to_owned(), reason };
        let ports: Vec<u16> = ports
            .iter()
            .map(|text| parse(text).map_err(|reason| invalid(text, reason)))
            .collect::<Result<_, _>>()?;
        if !ports.is_empty() {
            tests.push(Test::Port(Ports { side, ports }));
        }
    }
    Ok(tests)
}

/// Digits only, as Go reads an unsigned number; what is too large is so before what follows is looked at.
fn parse(text: &str) -> Result<u16, &'static str> {
    if text.is_empty() {
        return Err("invalid syntax");
    }
    text.bytes().try_fold(0_u16, |port, byte| match byte {
        b'0'..=b'9' => port
            .checked_mul(10)
            .and_then(|port| port.checked_add(u16::from(byte - b'0')))
            .ok_or("value out of range"),
        _ => Err("invalid syntax"),
    })
}

impl Ports {
    pub(super) fn part(&self) -> Part {
        Part::Port(self.side)
    }

    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        let port = flow.transport().and_then(|transport| transport.port(self.side));
        port.is_some_and(|port| self.ports.iter().any(|wanted| u32::from(*wanted) == port))
    }
}
