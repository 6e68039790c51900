//! `source_label`, `destination_label`, `node_labels`: Kubernetes selectors over labels with sources.

use std::net::IpAddr;

use ipnet::IpNet;
use palomar_proto::flow::FlowFilter;

use super::InvalidFilter;
use super::endpoint::Asked;
use super::test::Test;
use crate::selector::{Condition, InvalidSelector, Selector};
use crate::view::{FlowView, LabelParts, Side};

/// Selectors of which one must match.
#[derive(Debug)]
pub(super) struct LabelSelectors(Vec<Vec<LabelRequirement>>);

/// A requirement on a label of one source, or of any.
#[derive(Debug)]
struct LabelRequirement {
    source: Option<String>,
    key: String,
    condition: Condition,
}

/// Selectors over the labels of the node.
#[derive(Debug)]
pub(super) struct NodeLabels(LabelSelectors);

pub(super) fn compile(filter: &FlowFilter, side: Side) -> Result<Option<Test>, InvalidFilter> {
    let selectors = side.of(&filter.source_label, &filter.destination_label);
    Ok(compile_all(selectors, side.name())?.map(|selectors| Asked::Labels(selectors).of(side)))
}

pub(super) fn compile_node(filter: &FlowFilter) -> Result<Option<Test>, InvalidFilter> {
    let selectors = compile_all(&filter.node_labels, "node")?;
    Ok(selectors.map(|selectors| Test::NodeLabels(NodeLabels(selectors))))
}

fn compile_all(selectors: &[String], whose: &'static str) -> Result<Option<LabelSelectors>, InvalidFilter> {
    if selectors.is_empty() {
        return Ok(None);
    }
    let compiled = selectors.iter().map(|selector| compile_one(selector)).collect::<Result<_, _>>();
    compiled
        .map(|selectors| Some(LabelSelectors(selectors)))
        .map_err(|error| InvalidFilter::Labels { whose, error })
}

fn compile_one(selector: &str) -> Result<Vec<LabelRequirement>, InvalidSelector> {
    let requirements = Selector::parse(&with_dotted_sources(selector))?.requirements.into_iter();
    let requirement = |(source, key): (&str, &str), condition| LabelRequirement {
        source: (source != "any" && !source.is_empty()).then(|| source.to_owned()),
        key: key.to_owned(),
        condition,
    };
    Ok(requirements
        .map(|parsed| {
            let parts = parsed.key.split_once('.').unwrap_or(("", &parsed.key));
            requirement(parts, parsed.condition)
        })
        .collect())
}

/// As Hubble does it: Kubernetes knows no colon in keys, so that `k8s:app` becomes `k8s.app`, and a bare key gets the source `any`, so that
/// what stands before the first dot always is the source.
fn with_dotted_sources(selector: &str) -> String {
    let mut out = String::with_capacity(selector.len() + 8);
    let mut rest = selector;
    while !rest.is_empty() {
        let key_at = rest.find(|c: char| !c.is_whitespace() && c != '!').unwrap_or(rest.len());
        out.push_str(&rest[..key_at]);
        rest = &rest[key_at..];
        let key_end = rest.find(|c: char| c.is_whitespace() || "=!,".contains(c)).unwrap_or(rest.len());
        let key = &rest[..key_end];
        match key.split_once(':') {
            Some((source, name)) => out.extend([source, ".", name]),
            None => out.extend(["any.", key]),
        }
        rest = &rest[key_end..];
        let next = end_of_requirement(rest);
        out.push_str(&rest[..next]);
        rest = &rest[next..];
    }
    out
}

/// Where the comma outside of parentheses ends.
fn end_of_requirement(rest: &str) -> usize {
    let mut depth = 0;
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b',' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

impl LabelSelectors {
    pub(super) fn matches<'a, I: Iterator<Item = LabelParts<'a>>>(&self, labels: impl Fn() -> I) -> bool {
        self.0.iter().any(|requirements| {
            requirements.iter().all(|requirement| {
                let label = labels().find(|label| requirement.is_about(*label));
                requirement.condition.holds(label.map(|label| label.value))
            })
        })
    }
}

impl LabelRequirement {
    fn is_about(&self, label: LabelParts<'_>) -> bool {
        match self.source.as_deref() {
            Some(source) if source != label.source => false,
            Some("cidr") => self.key == label.key || covers(&self.key, label.key),
            None | Some(_) => self.key == label.key,
        }
    }
}

/// Whether a CIDR covers another: an address has the label of its longest CIDR only, and belongs to all.
/// Labels of IPv6 CIDRs may have `-` for `:`.
fn covers(wide: &str, narrow: &str) -> bool {
    let parse = |text: &str| {
        let text = text.replace('-', ":");
        text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
    };
    matches!((parse(wide), parse(narrow)), (Some(wide), Some(narrow)) if wide.contains(&narrow))
}

impl NodeLabels {
    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        self.0.matches(|| flow.node_labels().map(LabelParts::of_text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_become_the_first_part_of_a_dotted_key() {
        let table = [
            ("k8s:app=front", "k8s.app=front"),
            ("app", "any.app"),
            ("!app , reserved:world", "!any.app , reserved.world"),
            ("app in (a,b:c),x:y:z", "any.app in (a,b:c),x.y:z"),
            ("reserved.world", "any.reserved.world"),
            ("io.kubernetes/x>1", "any.io.kubernetes/x>1"),
            ("x>1:2", "x>1.2"),
            // a key that is not there has a source all the same, so that it is refused as in Hubble
            (",a", "any.,any.a"),
            ("a, ", "any.a, any."),
            ("!", "!any."),
            ("", ""),
        ];
        for (selector, expected) in table {
            assert_eq!(with_dotted_sources(selector), expected);
        }
    }

    #[test]
    fn labels_match_by_source_key_and_value() {
        let labels = ["cidr:10.1.0.0/16", "k8s:app=web", "reserved:world"];
        let table = [
            ("app=web", true),
            ("any:app=web", true),
            ("k8s:app=web", true),
            ("container:app=web", false),
            ("container:app!=web", true),
            ("reserved:world", true),
            ("reserved.world", false),
            ("!reserved:host", true),
            ("cidr:10.0.0.0/8", true),
            ("cidr:10.1.2.0/24", false),
            ("cidr:10.1.0.0/16,app", true),
        ];
        for (selector, expected) in table {
            let selectors = LabelSelectors(vec![compile_one(selector).unwrap()]);
            let matches = selectors.matches(|| labels.iter().map(|label| LabelParts::of_text(label)));
            assert_eq!(matches, expected, "{selector}");
        }
    }
}
