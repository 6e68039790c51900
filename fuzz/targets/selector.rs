//! The parser of label selectors, as it is and in a filter: it takes or refuses every text.

use palomar_flow::filter::Filters;
use palomar_flow::selector::Selector;
use palomar_flow::view::NoFlow;
use palomar_proto::flow::FlowFilter;

pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    if let Ok(selector) = Selector::parse(&text) {
        let is_wanted = selector.matches(|key| (key.len().is_multiple_of(2)).then_some("1"));
        let all = selector.requirements.iter().all(|requirement| {
            requirement.condition.holds((requirement.key.len().is_multiple_of(2)).then_some("1"))
        });
        assert_eq!(is_wanted, all);
    }
    let filter = FlowFilter { source_label: vec![text], ..FlowFilter::default() };
    if let Ok(filters) = Filters::compile(&[filter], &[]) {
        let _ = filters.matches(&NoFlow);
    }
}
