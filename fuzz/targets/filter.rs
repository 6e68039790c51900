//! The compiler of filters: the first line has those of the white list as JSON, the others those of the black list. It
//! takes or refuses each, and what it takes says the same of a flow with and without a memory.

use std::cell::RefCell;

use palomar_flow::filter::{Filters, Memo};
use palomar_flow::json::{Picker, parse, parse_first};
use palomar_flow::view::{LineFlow, LinePaths, NoFlow};
use palomar_proto::flow::{Flow, FlowFilter};
use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;

/// A flow with something in most of its fields.
const LINE: &str = include_str!("../flow.json");

/// That flow, read and picked from. Making it costs more than most filters.
struct Known {
    flow: Flow,
    picker: Picker,
    places: LinePaths,
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::new(Known::new());
}

impl Known {
    fn new() -> Self {
        let response = parse::<GetFlowsResponse>(LINE.trim_end()).expect("a response").message;
        let Some(ResponseTypes::Flow(flow)) = response.response_types else { panic!("a flow") };
        let paths = [&["flow"], LinePaths::ALL].concat();
        let picker = Picker::new::<GetFlowsResponse>(&paths, &["flow.source", "flow.destination"]);
        Self { flow, picker, places: LinePaths::within(&paths) }
    }
}

pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (white, black) = text.split_once('\n').unwrap_or((&text, ""));
    let (white, black) = (filters(white), filters(black));
    let Ok(filters) = Filters::compile(&white, &black) else { return };
    let _ = filters.matches(&NoFlow);
    KNOWN.with_borrow_mut(|Known { flow, picker, places }| {
        let (matches, mut memo) = (filters.matches(flow), Memo::default());
        for _ in 0..2 {
            let seen = picker.pick(LINE.trim_end().as_bytes()).expect("it is as it would be written");
            assert_eq!(filters.matches_with(&&LineFlow::new(seen, places), &mut memo), matches);
        }
    });
}

/// Filters one after the other, up to what is none.
fn filters(mut text: &str) -> Vec<FlowFilter> {
    let mut filters = Vec::new();
    while let Ok((parsed, length)) = parse_first::<FlowFilter>(text) {
        filters.push(parsed.message);
        text = &text[length..];
    }
    filters
}
