//! Single values out of JSON lines, without reading the whole of each.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::JsonMessage;
use super::canonical::{Form, Look, Notes};
use super::lexer::{Lexer, Word};
use super::memo::Memo;
use super::shapes::Shapes;
use crate::bytes::has_byte;
use crate::schema::{Kind, Message, SCHEMA};

/// Where a value stands in a line. Empty: there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

/// What is wanted of a field.
#[derive(Debug)]
pub(crate) struct Node {
    path: String,
    pub(super) id: usize,
    /// Where the place of the value is noted.
    pub(crate) slot: Option<usize>,
    /// By position, what is wanted of the message inside.
    pub(crate) fields: Vec<Option<Arc<Self>>>,
    /// The slots of what is below it.
    pub(super) slots: Range<usize>,
    /// Whether its values come again and again.
    pub(super) remember: bool,
}

/// Picks the same values out of one line after the other.
#[derive(Debug)]
pub struct Picker {
    message: &'static Message,
    form: Form,
    root: Node,
    memo: Memo,
    shapes: Shapes,
    /// The slots of values that stand in no value that is remembered.
    marked: Vec<usize>,
    spans: Vec<Span>,
    numbers: Vec<u64>,
}

/// The values of a line.
#[derive(Debug, Clone, Copy)]
pub struct Picked<'a> {
    /// ASCII.
    line: &'a [u8],
    spans: &'a [Span],
    numbers: &'a [u64],
}

// === impl Span ===

impl Span {
    pub(super) fn of(start: usize, end: usize) -> Option<Self> {
        Some(Self { start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()? })
    }

    pub(super) const fn start(self) -> usize {
        self.start as usize
    }

    pub(super) const fn end(self) -> usize {
        self.end as usize
    }

    /// `None`: the place is beyond what a span can tell.
    pub(super) fn set_start(&mut self, start: usize) -> Option<()> {
        self.start = u32::try_from(start).ok()?;
        Some(())
    }

    /// As [`Self::set_start`].
    pub(super) fn set_end(&mut self, end: usize) -> Option<()> {
        self.end = u32::try_from(end).ok()?;
        Some(())
    }

    /// The same, `by` bytes later; nothing stays nothing.
    pub(super) fn moved(self, by: usize) -> Option<Self> {
        if self == Self::default() {
            return Some(self);
        }
        let by = u32::try_from(by).ok()?;
        Some(Self { start: self.start.checked_add(by)?, end: self.end.checked_add(by)? })
    }

    /// The same, seen from `start`, which is before it; nothing stays nothing.
    pub(super) fn since(self, start: usize) -> Self {
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        Self { start: self.start.saturating_sub(start), end: self.end.saturating_sub(start) }
    }
}

// === impl Node ===

impl Node {
    /// Of a message, for the values at `paths`; panics as [`Picker::new`] does.
    pub(crate) fn of(message: &Message, paths: &[&str], repeated: &[&str]) -> Self {
        let mut builder = Builder { paths, repeated, nodes: 0 };
        let root = builder.node(message, "");
        let found = |path: &&str| root.leads_to(path);
        assert!(
            paths.iter().chain(repeated).all(found),
            "every path leads to a field: {paths:?}, {repeated:?}"
        );
        root
    }

    fn leads_to(&self, path: &str) -> bool {
        let mut all = self.fields.iter().flatten();
        self.path == path || all.any(|below| below.leads_to(path))
    }

    /// The slots of this value and of those below it, without those of remembered values.
    fn slots_outside(&self) -> Vec<usize> {
        if self.remember {
            return Vec::new();
        }
        let below = self.fields.iter().flatten().flat_map(|below| below.slots_outside());
        self.slot.into_iter().chain(below).collect()
    }
}

// === impl Picker ===

impl Picker {
    /// For the values at `paths`, such as `flow.source.pod_name`, of messages `M`. What `repeated` names are values
    /// that few lines have of their own.
    ///
    /// # Panics
    ///
    /// If a path leads to nothing, or through a list, or if paths below one that is repeated do not stand together:
    /// paths are part of the program.
    pub fn new<M: JsonMessage>(paths: &[&str], repeated: &[&str]) -> Self {
        Self::of_form::<M>(Form::AsWritten, paths, repeated)
    }

    /// The same for lines of other writers as well, which may have their fields in any order, blanks between the words,
    /// and `<`, `>` and `&` as they are. What is picked reads the same; the line itself need not be as
    /// [`super::to_string`] would write it.
    ///
    /// # Panics
    ///
    /// As [`Self::new`].
    pub fn loose<M: JsonMessage>(paths: &[&str], repeated: &[&str]) -> Self {
        Self::of_form::<M>(Form::Loose, paths, repeated)
    }

    fn of_form<M: JsonMessage>(form: Form, paths: &[&str], repeated: &[&str]) -> Self {
        let id = SCHEMA.find(M::NAME).expect("invariant: a test finds every name of a JsonMessage");
        let message = SCHEMA.message(id);
        let root = Node::of(message, paths, repeated);
        let (spans, numbers) = (vec![Span::default(); paths.len()], vec![0; paths.len()]);
        let marked = root.slots_outside();
        Self { message, form, root, memo: Memo::default(), shapes: Shapes::default(), marked, spans, numbers }
    }

    /// The values of a line; `None` if it is not exactly what [`super::to_string`] would write, or not surely so; of a loose
    /// picker, if it is not surely read as a message without anything unknown.
    pub fn pick<'a>(&'a mut self, line: &'a [u8]) -> Option<Picked<'a>> {
        if self.known(line).is_none() {
            self.looked_at(line)?;
        }
        Some(Picked { line, spans: &self.spans, numbers: &self.numbers })
    }

    /// Looks at a line of a shape that came before.
    fn known(&mut self, line: &[u8]) -> Option<()> {
        let Self { form, memo, shapes, spans, numbers, .. } = self;
        shapes.follow(line, *form, &mut Notes::of(spans, numbers, memo))
    }

    /// Looks at a line from its beginning to its end.
    fn looked_at(&mut self, line: &[u8]) -> Option<()> {
        let Self { message, form, root, memo, shapes, marked, spans, numbers } = self;
        let mut look = Look::new(line, *form);
        let mut notes = Notes::of(spans, numbers, memo);
        let is_learned = shapes.is_eager();
        // within a remembered value nothing is a step
        notes.depth = u32::from(!is_learned);
        look.blanks();
        look.object(message, Some(root), &mut notes)?;
        look.blanks();
        if !look.is_at_end() {
            return None;
        }
        let steps = notes.steps;
        if is_learned {
            shapes.learn(line, steps, marked, spans);
        }
        Some(())
    }
}

struct Builder<'p> {
    paths: &'p [&'p str],
    repeated: &'p [&'p str],
    nodes: usize,
}

impl Builder<'_> {
    fn node(&mut self, message: &Message, path: &str) -> Node {
        self.nodes += 1;
        let id = self.nodes;
        let below = |path: &str| if path.is_empty() { String::new() } else { format!("{path}.") };
        let prefix = below(path);
        let mut slots: Option<Range<usize>> = None;
        let fields = message.fields.iter().map(|field| {
            let path = format!("{prefix}{}", field.name);
            let inner = below(&path);
            let is_wanted = self.repeated.contains(&path.as_str())
                || self.paths.iter().any(|wanted| *wanted == path || wanted.starts_with(&inner));
            if !is_wanted {
                return None;
            }
            Some(Arc::new(match field.kind {
                Kind::Message(id) if !field.repeated => self.node(SCHEMA.message(id), &path),
                _ => self.leaf(&path),
            }))
        });
        let fields: Vec<Option<Arc<Node>>> = fields.collect();
        for (at, _) in self.paths.iter().enumerate().filter(|(_, wanted)| wanted.starts_with(&prefix)) {
            let slots = slots.get_or_insert(at..at + 1);
            *slots = slots.start.min(at)..slots.end.max(at + 1);
        }
        let slots = slots.unwrap_or(0..0);
        let is_own = self.paths[slots.clone()].iter().all(|wanted| wanted.starts_with(&prefix));
        assert!(is_own || !self.repeated.contains(&path), "the paths below {path} have to stand together");
        Node { fields, slots, ..self.own(id, path) }
    }

    fn leaf(&mut self, path: &str) -> Node {
        self.nodes += 1;
        self.own(self.nodes, path)
    }

    fn own(&self, id: usize, path: &str) -> Node {
        let slot = self.paths.iter().position(|wanted| *wanted == path);
        Node {
            path: path.to_owned(),
            id,
            slot,
            fields: Vec::new(),
            slots: 0..0,
            remember: self.repeated.contains(&path),
        }
    }
}

// === impl Picked ===

impl<'a> Picked<'a> {
    /// The line itself.
    pub fn line(&self) -> &'a str {
        ascii(self.line)
    }

    /// Whether the line has a value of the path at that place in the list.
    pub fn has(&self, path: usize) -> bool {
        self.spans[path] != Span::default()
    }

    /// The value of the path at that place in the list, as it is written; `None` if the line has none.
    pub fn raw(&self, path: usize) -> Option<&'a str> {
        self.bytes(path).map(ascii)
    }

    fn bytes(&self, path: usize) -> Option<&'a [u8]> {
        let span = self.spans[path];
        self.line.get(span.start()..span.end()).filter(|text| !text.is_empty())
    }

    /// A number that stands for the value of a repeated path, in all lines of the picker: 0 for none, and else never
    /// the same for another value. `None` where there is no such number.
    pub fn repeated(&self, path: usize) -> Option<u64> {
        match self.numbers[path] {
            0 if self.has(path) => None,
            number => Some(number),
        }
    }

    /// A text; empty if the line has none.
    pub fn text(&self, path: usize) -> Cow<'a, str> {
        match self.bytes(path) {
            None => Cow::Borrowed(""),
            Some([b'"', plain @ .., b'"']) if !has_byte(plain, b'\\') => Cow::Borrowed(ascii(plain)),
            Some(raw) => decoded(ascii(raw)).into_iter().next().unwrap_or_default(),
        }
    }

    /// A list of texts; empty if the line has none.
    pub fn texts(&self, path: usize) -> Vec<Cow<'a, str>> {
        self.raw(path).map(decoded).unwrap_or_default()
    }

    /// An unsigned integer, also one between quotes; zero if the line has none.
    pub fn number(&self, path: usize) -> u64 {
        let raw = self.bytes(path).unwrap_or_default().iter();
        raw.filter(|digit| digit.is_ascii_digit())
            .fold(0, |number: u64, digit| number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')))
    }

    /// An integer of 32 bits; zero if the line has none.
    pub fn integer(&self, path: usize) -> i32 {
        let size = i64::try_from(self.number(path)).unwrap_or(0);
        let is_negative = self.bytes(path).is_some_and(|raw| raw.starts_with(b"-"));
        i32::try_from(if is_negative { -size } else { size }).unwrap_or(0)
    }

    /// A flag, or a wrapped one; `None` if the line has none.
    pub fn flag(&self, path: usize) -> Option<bool> {
        self.bytes(path).map(|text| text == b"true")
    }

    /// Seconds and nanoseconds of a time; `None` if the line has none.
    pub fn time(&self, path: usize) -> Option<(i64, i32)> {
        let text = self.raw(path)?;
        super::time::parse(text.strip_prefix('"')?.strip_suffix('"')?)
    }
}

/// What a look let pass, which is ASCII.
fn ascii(text: &[u8]) -> &str {
    std::str::from_utf8(text).unwrap_or_default()
}

/// All strings of a value.
fn decoded(raw: &str) -> Vec<Cow<'_, str>> {
    let mut lexer = Lexer::new(raw);
    let mut texts = Vec::new();
    while let Ok(token) = lexer.next() {
        match token.word {
            Word::String(text) => texts.push(text),
            Word::End => break,
            _ => {}
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    mod loose;

    use std::io::Read;
    use std::sync::LazyLock;

    use flate2::read::GzDecoder;
    use palomar_proto::flow::layer4::Protocol;
    use palomar_proto::flow::{Endpoint, Flow, Layer4, LostEvent, Udp};
    use palomar_proto::observer::GetFlowsResponse;
    use palomar_proto::observer::get_flows_response::ResponseTypes;
    use proptest::prelude::*;

    use super::*;
    use crate::json::{parse, to_string};

    const PATHS: [&str; 12] = [
        "flow",
        "flow.source.identity",
        "flow.source.namespace",
        "flow.source.pod_name",
        "flow.destination.pod_name",
        "flow.node_labels",
        "flow.is_reply",
        "flow.l4.UDP.source_port",
        "flow.event_type.sub_type",
        "flow.Summary",
        "node_name",
        "time",
    ];
    const REPEATED: [&str; 3] = ["flow.source", "flow.destination", "flow.node_labels"];

    static LINES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let packed = include_bytes!("../../../cli/tests/fixtures/flows-5k.jsonl.gz");
        let mut text = String::new();
        GzDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
        text.lines().map(str::to_owned).collect()
    });

    fn picker() -> Picker {
        Picker::new::<GetFlowsResponse>(&PATHS, &REPEATED)
    }

    /// What was picked has to be what the whole message has.
    fn assert_same(picked: Picked<'_>, response: &GetFlowsResponse) {
        let empty = Flow::default();
        let flow = match &response.response_types {
            Some(ResponseTypes::Flow(flow)) => flow,
            _ => &empty,
        };
        let nobody = Endpoint::default();
        let source = flow.source.as_ref().unwrap_or(&nobody);
        let destination = flow.destination.as_ref().unwrap_or(&nobody);
        assert_eq!(picked.raw(0).is_some(), matches!(response.response_types, Some(ResponseTypes::Flow(_))));
        assert_eq!(picked.number(1), u64::from(source.identity));
        assert_eq!(picked.text(2), source.namespace);
        assert_eq!(picked.text(3), source.pod_name);
        assert_eq!(picked.text(4), destination.pod_name);
        assert_eq!(picked.texts(5), flow.node_labels);
        assert_eq!(picked.flag(6), flow.is_reply);
        let port = match flow.l4.as_ref().and_then(|l4| l4.protocol.as_ref()) {
            Some(Protocol::Udp(udp)) => udp.source_port,
            _ => 0,
        };
        assert_eq!(picked.number(7), u64::from(port));
        let sub_type = flow.event_type.as_ref().map_or(0, |event| event.sub_type);
        assert_eq!(picked.integer(8), sub_type);
        assert_eq!(picked.text(9), flow.summary);
        assert_eq!(picked.text(10), response.node_name);
        assert_eq!(picked.time(11), response.time.as_ref().map(|time| (time.seconds, time.nanos)));
    }

    #[test]
    fn what_the_stock_cli_saved_is_picked_as_it_is_read() {
        let mut picker = picker();
        for line in LINES.iter() {
            let response = parse::<GetFlowsResponse>(line).unwrap().message;
            assert_same(picker.pick(line.as_bytes()).expect("the form of the stock CLI"), &response);
        }
    }

    #[test]
    fn other_spellings_and_mistakes_are_left_to_the_reader() {
        let mut picker = picker();
        for line in [
            "",
            "{}x",
            "{} ",
            "{\"flow\": {}}",
            "{\"node_name\":\"\"}",
            "{\"nodeName\":\"k1\"}",
            "{\"time\":\"2026-03-04T05:06:07Z\",\"node_name\":\"k1\"}",
            "{\"node_name\":\"k1\",\"node_name\":\"k1\"}",
            "{\"node_name\":\"k<\"}",
            "{\"node_name\":\"\\u00e9\"}",
            "{\"node_name\":\"\\u000a\"}",
            "{\"node_name\":\"\\/\"}",
            "{\"node_name\":\"\u{e9}\"}",
            "{\"node_name\":\"k1",
            "{\"flow\":{\"verdict\":1}}",
            "{\"flow\":{\"verdict\":\"VERDICT_UNKNOWN\"}}",
            "{\"flow\":{\"verdict\":\"NEW\"}}",
            "{\"flow\":{\"reply\":false}}",
            "{\"flow\":{\"node_labels\":[]}}",
            "{\"flow\":{\"proxy_port\":0}}",
            "{\"flow\":{\"proxy_port\":01}}",
            "{\"flow\":{\"proxy_port\":4294967296}}",
            "{\"flow\":{\"proxy_port\":\"1\"}}",
            "{\"flow\":{\"socket_cookie\":1}}",
            "{\"flow\":{\"event_type\":{\"type\":-2147483649}}}",
            "{\"flow\":{\"l4\":{\"TCP\":{},\"UDP\":{}}}}",
            "{\"flow\":{\"novelty\":1}}",
            "{\"flow\":{\"extensions\":{}}}",
            "{\"flow\":{},\"lost_events\":{}}",
            "{\"time\":\"2026-03-04T05:06:07.100000Z\"}",
            "{\"time\":\"2026-03-04T05:06:07.1Z\"}",
            "{\"time\":\"2026-02-29T05:06:07Z\"}",
            "{\"time\":\"2026-03-04T05:06:07+00:00\"}",
        ] {
            assert!(picker.pick(line.as_bytes()).is_none(), "{line}");
        }
    }

    #[test]
    fn a_value_that_came_before_is_found_wherever_it_stands() {
        let ends = |source: &str, destination: &str, uuid: &str| {
            let end = |name: &str| {
                Some(Endpoint {
                    namespace: "a namespace that is long".to_owned(),
                    pod_name: name.to_owned(),
                    ..Endpoint::default()
                })
            };
            let flow = Flow {
                uuid: uuid.to_owned(),
                source: end(source),
                destination: end(destination),
                ..Flow::default()
            };
            GetFlowsResponse {
                response_types: Some(ResponseTypes::Flow(flow)),
                ..GetFlowsResponse::default()
            }
        };
        let mut picker = picker();
        for response in [
            ends("one", "two", ""),
            ends("two", "one", "u"),
            ends("one", "one", "uu"),
            ends("three", "two", ""),
        ] {
            let line = to_string(&response).unwrap();
            assert_same(picker.pick(line.as_bytes()).unwrap(), &response);
        }
    }

    /// More ways on from one point, and more points, than are learned.
    #[test]
    fn lines_of_more_shapes_than_are_known_are_picked_as_they_are_read() {
        let with_labels = |labels: usize, nodes: usize, verdict: i32| {
            let end = |name: &str| {
                Some(Endpoint {
                    pod_name: name.to_owned(),
                    labels: vec!["k8s:app=web".to_owned(); labels],
                    ..Endpoint::default()
                })
            };
            let flow = Flow {
                verdict,
                source: end("one"),
                destination: end("two"),
                source_names: vec!["a name".to_owned(); labels],
                node_name: "a node".to_owned(),
                destination_names: vec!["another".to_owned(); nodes],
                ..Flow::default()
            };
            GetFlowsResponse {
                response_types: Some(ResponseTypes::Flow(flow)),
                ..GetFlowsResponse::default()
            }
        };
        let mut picker = picker();
        for _ in 0..2 {
            for at in 0..6000_usize {
                let response = with_labels(at % 100, at / 100, i32::try_from(at % 7).unwrap());
                let line = to_string(&response).unwrap();
                assert_same(picker.pick(line.as_bytes()).unwrap(), &response);
            }
        }
    }

    prop_compose! {
        fn any_response()(
            names in prop::collection::vec("[ -~]{0,12}|\\PC{0,3}|[\\x00-\\x1f]{0,2}", 5), identity in any::<u32>(), port in any::<u32>(),
            sub_type in any::<i32>(), reply in any::<Option<bool>>(), labels in prop::collection::vec("[ -~]{0,20}", 0..4),
            seconds in -62_135_596_800_i64..253_402_300_800, nanos in prop_oneof![Just(0), (0..1000).prop_map(|millis| millis * 1_000_000), 0..1_000_000_000],
            kind in 0..3, with in any::<[bool; 4]>(),
        ) -> GetFlowsResponse {
            let end = |name: &str| Endpoint { identity, namespace: names[1].clone(), pod_name: name.to_owned(), labels: labels.clone(), ..Endpoint::default() };
            let udp = Layer4 { protocol: Some(Protocol::Udp(Udp { source_port: port, destination_port: 0 })) };
            let flow = Flow {
                source: with[0].then(|| end(&names[0])),
                destination: with[1].then(|| end(&names[2])),
                l4: with[2].then_some(udp),
                node_labels: labels.clone(),
                is_reply: reply,
                summary: names[3].clone(),
                verdict: kind,
                event_type: with[3].then_some(palomar_proto::flow::CiliumEventType { r#type: kind, sub_type }),
                ..Flow::default()
            };
            let lost = LostEvent { num_events_lost: u64::from(port) << 20, cpu: reply.map(i32::from), ..LostEvent::default() };
            GetFlowsResponse {
                node_name: names[4].clone(),
                time: Some(prost_types::Timestamp { seconds, nanos }),
                response_types: match kind {
                    0 => None,
                    1 => Some(ResponseTypes::LostEvents(lost)),
                    _ => Some(ResponseTypes::Flow(flow)),
                },
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_picked_as_it_was(responses in prop::collection::vec(any_response(), 1..4)) {
            let mut picker = picker();
            // the second time from memory
            for response in responses.iter().chain(&responses) {
                let line = to_string(response).unwrap();
                match picker.pick(line.as_bytes()) {
                    Some(picked) => assert_same(picked, response),
                    None => prop_assert!(!line.is_ascii(), "{}", line),
                }
            }
        }

        #[test]
        fn what_is_picked_from_is_exactly_what_would_be_written(
            at in 0..5000_usize, place in any::<prop::sample::Index>(), length in 0..3_usize,
            instead in "[\\x00-\\x7f]{0,2}|[\"{}:,\\[\\]\\\\]{1,2}|0|-1|false|null|\u{e9}",
        ) {
            let mut picker = picker();
            let line = &LINES[at];
            picker.pick(line.as_bytes()).unwrap();
            let start = place.index(line.len());
            let changed = format!("{}{instead}{}", &line[..start], &line[(start + length).min(line.len())..]);
            if let Some(picked) = picker.pick(changed.as_bytes()) {
                let parsed = parse::<GetFlowsResponse>(&changed).unwrap();
                prop_assert_eq!(&parsed.unknown, &None);
                prop_assert_eq!(to_string(&parsed.message).unwrap(), changed.as_str());
                assert_same(picked, &parsed.message);
            }
        }
    }
}
