//! Lines of other writers.

use super::*;
use crate::json::lexer::Token;

/// Writes JSON anew, as other programs do.
struct Rewriter {
    /// Decides the order of fields.
    state: u64,
    /// Stands after commas, colons and brackets, and before brackets.
    blank: &'static str,
    /// Whether `<`, `>` and `&` are written as they are.
    plain: bool,
}

impl Rewriter {
    fn rewritten(mut self, line: &str) -> String {
        let mut lexer = Lexer::new(line);
        let first = lexer.next().unwrap();
        self.blank.to_owned() + &self.value(&mut lexer, &first) + self.blank
    }

    fn value(&mut self, lexer: &mut Lexer<'_>, token: &Token<'_>) -> String {
        match token.word {
            Word::ObjectOpen => {
                let fields = self.items(lexer, &Word::ObjectClose);
                let fields = self.shuffled(fields);
                self.around('{', &fields, '}')
            }
            Word::ArrayOpen => {
                let items = self.items(lexer, &Word::ArrayClose);
                self.around('[', &items, ']')
            }
            Word::String(_) if self.plain => {
                token.raw.replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u0026", "&")
            }
            _ => token.raw.to_owned(),
        }
    }

    fn items(&mut self, lexer: &mut Lexer<'_>, close: &Word<'_>) -> Vec<String> {
        let mut items = Vec::new();
        loop {
            let token = lexer.next().unwrap();
            if token.word == *close {
                return items;
            }
            if token.word == Word::Comma {
                continue;
            }
            let mut item = self.value(lexer, &token);
            if *close == Word::ObjectClose {
                assert_eq!(lexer.next().unwrap().word, Word::Colon);
                let first = lexer.next().unwrap();
                let value = self.value(lexer, &first);
                item = format!("{}:{}{value}", token.raw, self.blank);
            }
            items.push(item);
        }
    }

    fn around(&self, open: char, items: &[String], close: char) -> String {
        let between = format!(",{}", self.blank);
        format!("{open}{blank}{}{blank}{close}", items.join(&between), blank = self.blank)
    }

    fn shuffled(&mut self, mut items: Vec<String>) -> Vec<String> {
        for at in 1..items.len() {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let other = usize::try_from(self.state >> 33).unwrap() % (at + 1);
            items.swap(at, other);
        }
        items
    }
}

fn loose() -> Picker {
    Picker::loose::<GetFlowsResponse>(&PATHS, &REPEATED)
}

#[test]
fn what_the_stock_cli_saved_is_picked_in_any_order_of_its_fields() {
    let mut picker = loose();
    for (seed, line) in (0_u64..).zip(LINES.iter().step_by(4)) {
        let response = parse::<GetFlowsResponse>(line).unwrap().message;
        // few orders, many, and the usual one between them
        let state = if seed % 3 == 0 { seed % 7 } else { seed };
        let blank = ["", " "][usize::from(seed % 2 == 0)];
        let other = Rewriter { state, blank, plain: true }.rewritten(line);
        assert_same(picker.pick(other.as_bytes()).expect(&other), &response);
        assert_same(picker.pick(line.as_bytes()).expect("the form of the stock CLI"), &response);
    }
}

#[test]
fn a_strict_picker_leaves_them_to_the_reader() {
    let mut picker = picker();
    for line in [
        "{\"time\":\"2026-03-04T05:06:07Z\",\"node_name\":\"k1\"}",
        "{\"node_name\": \"k1\"}",
        "{\"node_name\":\"<\"}",
    ] {
        assert!(loose().pick(line.as_bytes()).is_some(), "{line}");
        assert!(picker.pick(line.as_bytes()).is_none(), "{line}");
    }
}

#[test]
fn what_only_a_reader_can_judge_is_left_to_it() {
    let mut picker = loose();
    for line in [
        "",
        " ",
        "{} x",
        "{\"node_name\":\"k1\",\"node_name\":\"k1\"}",
        "{\"node_name\":\"k1\",\"time\":\"2026-03-04T05:06:07Z\",\"node_name\":\"k1\"}",
        "{\"node_name\" :\"k1\"}",
        "{\"nodeName\":\"k1\"}",
        "{\"node_name\":\"\"}",
        "{\"node_name\":\"k1\",}",
        "{\"node_name\":\"k1\" \"time\":\"2026-03-04T05:06:07Z\"}",
        "{\"node_name\":null}",
        "{\"flow\":{\"verdict\":1}}",
        "{\"flow\":{\"l4\":{\"UDP\":{},\"TCP\":{}}}}",
        "{\"lost_events\":{},\"flow\":{}}",
        "{\"flow\":{\"is_reply\":\"true\"}}",
        "{\"flow\":{\"novelty\":1}}",
        "{\"node_name\":\"\u{e9}\"}",
    ] {
        assert!(picker.pick(line.as_bytes()).is_none(), "{line}");
    }
}

proptest! {
    #[test]
    fn what_others_write_is_picked_as_it_was(
        responses in prop::collection::vec(any_response(), 1..4), states in prop::collection::vec(0..4_u64, 4),
        blank in prop::sample::select(vec!["", " ", "\t", "  "]), plain: bool,
    ) {
        let mut picker = loose();
        // the second time from memory, or in another order
        for (response, state) in responses.iter().chain(&responses).zip(states.iter().cycle()) {
            let line = Rewriter { state: *state, blank, plain }.rewritten(&to_string(response).unwrap());
            match picker.pick(line.as_bytes()) {
                Some(picked) => assert_same(picked, response),
                None => prop_assert!(!line.is_ascii(), "{}", line),
            }
        }
    }

    #[test]
    fn what_is_picked_from_is_read_as_a_message_without_anything_unknown(
        at in 0..5000_usize, state: u64, place in any::<prop::sample::Index>(), length in 0..3_usize,
        instead in "[\\x00-\\x7f]{0,2}|[\"{}:, \\[\\]\\\\]{1,2}|0|-1|false|null|\u{e9}|\"time\":",
    ) {
        let mut picker = loose();
        let line = Rewriter { state, blank: "", plain: true }.rewritten(&LINES[at]);
        picker.pick(line.as_bytes()).unwrap();
        let start = place.index(line.len());
        let changed = format!("{}{instead}{}", &line[..start], &line[(start + length).min(line.len())..]);
        if let Some(picked) = picker.pick(changed.as_bytes()) {
            let parsed = parse::<GetFlowsResponse>(&changed).unwrap();
            prop_assert_eq!(&parsed.unknown, &None);
            assert_same(picked, &parsed.message);
        }
    }
}
