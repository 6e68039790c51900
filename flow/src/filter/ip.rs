//! `source_ip`, `destination_ip`, `source_ip_xlated`.

use std::net::IpAddr;

use ipnet::IpNet;
use palomar_proto::flow::FlowFilter;

use super::InvalidFilter;
use super::test::Test;
use crate::go::address::{parse_address, parse_prefix};
use crate::view::{Address, FlowView, Part, Side};

/// Addresses and prefixes of which one must fit an address of the flow.
#[derive(Debug)]
pub(super) struct Addresses {
    which: Which,
    texts: Vec<String>,
    /// Those of the texts that are the standard text of an address, sorted.
    numbers: Vec<IpAddr>,
    /// Sorted, and none inside of another.
    prefixes: Vec<IpNet>,
}

#[derive(Debug, Clone, Copy)]
enum Which {
    Packet(Side),
    SourceTranslated,
}

pub(super) fn compile(filter: &FlowFilter) -> Result<Vec<Test>, InvalidFilter> {
    let fields = [
        (&filter.source_ip, Which::Packet(Side::Source)),
        (&filter.source_ip_xlated, Which::SourceTranslated),
        (&filter.destination_ip, Which::Packet(Side::Destination)),
    ];
    let given = fields.into_iter().filter(|(texts, _)| !texts.is_empty());
    given.map(|(texts, which)| Addresses::compile(texts, which).map(Test::Address)).collect()
}

impl Addresses {
    fn compile(filters: &[String], which: Which) -> Result<Self, InvalidFilter> {
        let mut addresses = Self { which, texts: Vec::new(), numbers: Vec::new(), prefixes: Vec::new() };
        for text in filters {
            if text.contains('/') {
                let prefix = parse_prefix(text)
                    .map_err(|error| InvalidFilter::Prefix { text: text.clone(), error })?;
                addresses.prefixes.push(prefix);
            } else {
                let number = parse_address(text)
                    .map_err(|error| InvalidFilter::Address { text: text.clone(), error })?;
                if number.to_string() == *text {
                    addresses.numbers.push(number);
                }
                addresses.texts.push(text.clone());
            }
        }
        addresses.numbers.sort_unstable();
        addresses.prefixes = IpNet::aggregate(&addresses.prefixes);
        addresses.prefixes.sort_unstable();
        Ok(addresses)
    }

    pub(super) fn part(&self) -> Part {
        match self.which {
            Which::Packet(side) => Part::Address(side),
            Which::SourceTranslated => Part::Other,
        }
    }

    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        let address = match self.which {
            Which::Packet(side) => flow.address(side),
            Which::SourceTranslated => flow.source_translated(),
        };
        match address {
            Address::Text("") => false,
            Address::Text(text) => {
                self.texts.iter().any(|wanted| wanted == text)
                    || (!self.prefixes.is_empty() && text.parse().is_ok_and(|ip| self.covers(ip)))
            }
            Address::Ip(ip) => self.numbers.binary_search(&ip).is_ok() || self.covers(ip),
        }
    }

    fn covers(&self, ip: IpAddr) -> bool {
        // only the last that begins at or before the address can hold it
        let behind = self.prefixes.partition_point(|prefix| prefix.network() <= ip);
        self.prefixes[..behind].last().is_some_and(|prefix| prefix.contains(&ip))
    }
}
