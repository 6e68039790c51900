//! `source_fqdn`, `destination_fqdn`, `dns_query`.

use palomar_proto::flow::FlowFilter;
use palomar_proto::flow::layer7::Record;
use regex::Regex;

use super::InvalidFilter;
use super::pattern::Pattern;
use super::test::Test;
use crate::go::regexp;
use crate::view::{FlowView, Side};

/// Patterns of which one must match one of the names known for an address.
#[derive(Debug)]
pub(super) struct Names {
    side: Side,
    patterns: Vec<Pattern>,
}

/// Expressions of which one must match the name that a DNS query asks for.
#[derive(Debug)]
pub(super) struct DnsQueries(Vec<Regex>);

pub(super) fn compile(filter: &FlowFilter) -> Result<Vec<Test>, InvalidFilter> {
    let mut tests = Vec::new();
    for side in Side::BOTH {
        let names = side.of(&filter.source_fqdn, &filter.destination_fqdn);
        let patterns: Vec<_> = names.iter().map(|name| Pattern::compile(name)).collect::<Result<_, _>>()?;
        if !patterns.is_empty() {
            tests.push(Test::Name(Names { side, patterns }));
        }
    }
    let queries =
        filter.dns_query.iter().map(|query| regexp::compile(query).map_err(InvalidFilter::DnsQuery));
    let queries: Vec<_> = queries.collect::<Result<_, _>>()?;
    if !queries.is_empty() {
        tests.push(Test::DnsQuery(DnsQueries(queries)));
    }
    Ok(tests)
}

impl Names {
    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        flow.names(self.side).any(|name| self.patterns.iter().any(|pattern| pattern.matches(name)))
    }
}

impl DnsQueries {
    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        match flow.layer7().and_then(|layer7| layer7.record.as_ref()) {
            Some(Record::Dns(dns)) => self.0.iter().any(|query| query.is_match(&dns.query)),
            _ => false,
        }
    }
}
