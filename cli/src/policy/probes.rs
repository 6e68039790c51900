//! Many questions, one JSON line each, and as many answers in their order.

use std::io::{self, BufWriter, Read, Write};
use std::ptr;

use anyhow::{Context, Result, bail};
use foldhash::{HashMap, HashMapExt as _};
use palomar_manifest::Escaped;
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_policy::explain::{Answer, Deciding, DirectionAnswer, End, EndId, InvalidEnd, Prober};

use super::manifests::Manifests;
use super::probe_line::ProbeLine;
use super::question::{checked_port, protocol, protocol_name};
use crate::arguments::Given;
use crate::observe::input::{LINE_LIMIT, Line, Lines, open, unpacked};
use crate::surroundings::Surroundings;

/// Ends that are remembered; beyond that all are forgotten.
const REMEMBERED: usize = 200_000;

/// What some editors write before the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Lines that were no probes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refused {
    /// How many.
    pub count: usize,
    /// The number of the first of them, and what is wrong with it.
    pub first: Option<(u64, String)>,
}

/// That no flag is given that means nothing to probes.
pub fn check(given: &Given) -> Result<()> {
    if let Some(flag) = ["from", "to", "port", "protocol"].into_iter().find(|flag| given.has(flag)) {
        bail!("--{flag} and --probes cannot be given together: each probe names its own");
    }
    match given.text("output") {
        None | Some("json") => Ok(()),
        Some(other) => {
            bail!("unknown output format for --probes: {other}; choose from: json, one line for each probe")
        }
    }
}

/// `policy explain --probes`.
pub fn run(manifests: &Manifests, file: &str, surroundings: &mut Surroundings<'_>) -> Result<()> {
    let names = [file.to_owned()];
    let mut opened = open(&names, &mut *surroundings.input)?;
    let Some((name, reader)) = opened.pop() else { return Ok(()) };
    let out = BufWriter::with_capacity(64 * 1024, &mut *surroundings.out);
    let read = unpacked(reader).and_then(|reader| answer_all(manifests, reader, out));
    let refused = read.with_context(|| format!("read {name}"))?;
    let Refused { count, first: Some((line, error)) } = refused else { return Ok(()) };
    let place = match name {
        "-" => format!("line {line}"),
        name => format!("{}:{line}", Escaped(name)),
    };
    let others = match count - 1 {
        0 => String::new(),
        others => format!("; and {others} more could not be, as their answers say"),
    };
    bail!("{place}: a probe could not be read: {error}{others}");
}

/// Answers every line, and says which of them were no probes. Those have an answer of the form
/// `{"line":3,"error":"…"}`; empty lines have none.
pub fn answer_all(manifests: &Manifests, probes: impl Read, mut out: impl Write) -> io::Result<Refused> {
    let index = manifests.index();
    let (ends, texts) = (HashMap::new(), HashMap::new());
    let mut answering = Answering { prober: Prober::new(&index), ends, texts, buffer: Vec::new() };
    let mut lines = Lines::new(probes);
    let (mut number, mut refused) = (0_u64, Refused::default());
    while let Some(line) = lines.next(|| out.flush())? {
        number += 1;
        let line = match line {
            Line::Whole(line) if number == 1 => {
                Line::Whole(line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line))
            }
            other => other,
        };
        let answered = match line {
            Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => continue,
            Line::Whole(line) => answering.answer(line),
            Line::TooLong => Err(format!("it is longer than {LINE_LIMIT} bytes")),
        };
        match answered {
            Ok(()) => out.write_all(&answering.buffer)?,
            Err(error) => {
                refused.count += 1;
                let told = serde_json::json!({ "line": number, "error": error });
                writeln!(out, "{told}")?;
                refused.first.get_or_insert((number, error));
            }
        }
    }
    out.flush()?;
    Ok(refused)
}

/// What is written of each rule, and of each policy that isolates. A policy stays where it is in memory while questions are
/// answered.
type Texts = HashMap<(*const ObjectName, Option<u32>), String>;

struct Answering<'i, 'w> {
    prober: Prober<'i, 'w>,
    ends: HashMap<String, EndId>,
    texts: Texts,
    /// The answer to the present line.
    buffer: Vec<u8>,
}

impl Answering<'_, '_> {
    fn answer(&mut self, line: &[u8]) -> Result<(), String> {
        let ProbeLine { from, to, port, protocol: name } = ProbeLine::read(line)?;
        let protocol = match name {
            None => Protocol::Tcp,
            Some(name) => protocol(&name).map_err(|error| error.to_string())?,
        };
        let port = checked_port(protocol, port).map_err(|error| error.to_string())?;
        if self.ends.len() >= REMEMBERED {
            self.ends.clear();
            self.prober.forget_ends();
        }
        let ends = (self.end(&from)?, self.end(&to)?);
        let answer = self.prober.answer_between(ends.0, ends.1, protocol, port);
        self.buffer.clear();
        write_answer(&mut self.buffer, &from, &to, protocol, port, &answer, &mut self.texts);
        Ok(())
    }

    fn end(&mut self, text: &str) -> Result<EndId, String> {
        if let Some(known) = self.ends.get(text) {
            return Ok(*known);
        }
        let end: End = text.parse().map_err(|error: InvalidEnd| error.to_string())?;
        let id = self.prober.end(&end);
        self.ends.insert(text.to_owned(), id);
        Ok(id)
    }
}

// === JSON, written by hand: a tree for each answer would cost more than the answer ===

fn write_answer(
    out: &mut Vec<u8>,
    from: &str,
    to: &str,
    protocol: Protocol,
    port: Option<u16>,
    answer: &Answer<'_>,
    texts: &mut Texts,
) {
    let Answer { verdict, egress, ingress, missing } = answer;
    put(out, "{\"from\":");
    put_string(out, from);
    put(out, ",\"to\":");
    put_string(out, to);
    put(out, ",\"port\":");
    match port {
        Some(port) => put(out, itoa::Buffer::new().format(port)),
        None => put(out, "null"),
    }
    put_all(out, [",\"protocol\":\"", protocol_name(protocol)]);
    put_all(out, ["\",\"verdict\":\"", verdict.name(), "\",\"ingress\":"]);
    put_direction(out, ingress, texts);
    put(out, ",\"egress\":");
    put_direction(out, egress, texts);
    put(out, ",\"missing\":[");
    for (position, missing) in missing.iter().enumerate() {
        put(out, if position == 0 { "" } else { "," });
        put_string(out, &missing.to_string());
    }
    put(out, "]}\n");
}

fn put_direction(out: &mut Vec<u8>, direction: &DirectionAnswer<'_>, texts: &mut Texts) {
    let DirectionAnswer { verdict, isolated, by } = direction;
    let isolated = if *isolated { "true" } else { "false" };
    put_all(out, ["{\"verdict\":\"", verdict.name(), "\",\"isolated\":", isolated, ",\"by\":["]);
    for (position, deciding) in by.iter().enumerate() {
        put(out, if position == 0 { "" } else { "," });
        let key = (ptr::from_ref(deciding.policy), deciding.rule);
        put(out, texts.entry(key).or_insert_with(|| deciding_text(deciding)));
    }
    put(out, "]}");
}

fn deciding_text(Deciding { policy, rule }: &Deciding<'_>) -> String {
    let ObjectName { namespace, name } = policy;
    let rule = rule.map(|rule| format!(",\"rule\":{rule}")).unwrap_or_default();
    format!("{{\"kind\":\"NetworkPolicy\",\"namespace\":\"{namespace}\",\"name\":\"{name}\"{rule}}}")
}

/// Text that holds nothing to be escaped, such as the name of an object.
fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn put_all<const N: usize>(out: &mut Vec<u8>, texts: [&str; N]) {
    for text in texts {
        put(out, text);
    }
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    let is_plain = |byte: u8| (b' '..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        put_all(out, ["\"", text, "\""]);
    } else {
        put(out, &serde_json::Value::from(text).to_string());
    }
}
