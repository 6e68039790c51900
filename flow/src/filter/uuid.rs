//! `uuid`.

use palomar_proto::flow::FlowFilter;

use super::test::Test;
use crate::uuid::{format_uuid, parse_uuid};
use crate::view::{FlowView, Uuid};

/// UUIDs of which one must be the flow's, by exact text.
#[derive(Debug)]
pub(super) struct Uuids {
    texts: Vec<String>,
    /// Those that are the text of a number.
    numbers: Vec<u128>,
}

pub(super) fn compile(filter: &FlowFilter) -> Option<Test> {
    let texts = filter.uuid.clone();
    let is_text_of = |text: &str, number: u128| format_uuid(number) == text;
    let numbers =
        texts.iter().filter_map(|text| parse_uuid(text).filter(|number| is_text_of(text, *number))).collect();
    (!texts.is_empty()).then_some(Test::Uuid(Uuids { texts, numbers }))
}

impl Uuids {
    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        match flow.uuid() {
            Uuid::Text(uuid) => self.texts.iter().any(|text| text == uuid),
            Uuid::Number(uuid) => self.numbers.contains(&uuid),
        }
    }
}
