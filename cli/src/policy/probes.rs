//! Many questions, one JSON line each, and as many answers in their order.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, BufWriter, Read, Write};

use anyhow::{Context, Result, bail};
use palomar_model::packet::Protocol;
use palomar_policy::explain::{Answer, Deciding, DirectionAnswer, End, Index, Prober, Question};
use serde::Deserialize;

use super::manifests::{Manifests, counted};
use super::question::{checked_port, protocol, protocol_name};
use crate::arguments::Given;
use crate::observe::input::{LINE_LIMIT, Line, Lines, open, unpacked};
use crate::surroundings::Surroundings;

/// Ends that are remembered by their text; beyond that all are forgotten.
const REMEMBERED: usize = 200_000;

/// A question as a line holds it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProbeLine<'a> {
    #[serde(borrow)]
    from: Cow<'a, str>,
    #[serde(borrow)]
    to: Cow<'a, str>,
    #[serde(default)]
    port: Option<u16>,
    #[serde(borrow, default)]
    protocol: Option<Cow<'a, str>>,
}

/// `policy explain --probes`.
pub fn run(
    given: &Given,
    manifests: &Manifests,
    file: &str,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    if let Some(flag) = ["from", "to", "port", "protocol"].into_iter().find(|flag| given.has(flag)) {
        bail!("--{flag} and --probes cannot be given together: each probe names its own");
    }
    let names = [file.to_owned()];
    let mut opened = open(&names, &mut *surroundings.input)?;
    let Some((name, reader)) = opened.pop() else { return Ok(()) };
    let out = BufWriter::with_capacity(64 * 1024, &mut *surroundings.out);
    let read = unpacked(reader).and_then(|reader| answer_all(manifests, reader, out));
    let refused = read.with_context(|| format!("read {name}"))?;
    if refused > 0 {
        bail!("{} could not be read; the answers to them say why", counted(refused, "probe"));
    }
    Ok(())
}

/// Answers every line, and says how many of them were no probes. Those have an answer of the form
/// `{"line":3,"error":"…"}`; empty lines have none.
pub fn answer_all(manifests: &Manifests, probes: impl Read, mut out: impl Write) -> io::Result<usize> {
    let index = Index::new(&manifests.world);
    let mut answering = Answering { prober: Prober::new(&index), ends: HashMap::new(), buffer: Vec::new() };
    let mut lines = Lines::new(probes);
    let (mut number, mut refused) = (0, 0);
    while let Some(line) = lines.next(|| out.flush())? {
        number += 1;
        let answered = match line {
            Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => continue,
            Line::Whole(line) => answering.answer(line),
            Line::TooLong => Err(format!("it is longer than {LINE_LIMIT} bytes")),
        };
        match answered {
            Ok(()) => out.write_all(&answering.buffer)?,
            Err(error) => {
                refused += 1;
                let error = serde_json::json!({ "line": number, "error": error });
                writeln!(out, "{error}")?;
            }
        }
    }
    out.flush()?;
    Ok(refused)
}

struct Answering<'i, 'w> {
    prober: Prober<'i, 'w>,
    ends: HashMap<String, End>,
    /// The answer to the present line.
    buffer: Vec<u8>,
}

impl Answering<'_, '_> {
    fn answer(&mut self, line: &[u8]) -> Result<(), String> {
        let probe: ProbeLine<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let ProbeLine { from, to, port, protocol: name } = probe;
        let protocol = match name {
            None => Protocol::Tcp,
            Some(name) => protocol(&name).map_err(|error| error.to_string())?,
        };
        let port = checked_port(protocol, port).map_err(|error| error.to_string())?;
        let question = Question { from: self.end(&from)?, to: self.end(&to)?, protocol, port };
        let answer = self.prober.answer(&question);
        self.buffer.clear();
        write_answer(&mut self.buffer, &from, &to, protocol, port, &answer);
        self.buffer.push(b'\n');
        Ok(())
    }

    fn end(&mut self, text: &str) -> Result<End, String> {
        if let Some(end) = self.ends.get(text) {
            return Ok(end.clone());
        }
        let end: End =
            text.parse().map_err(|error: palomar_policy::explain::InvalidEnd| error.to_string())?;
        if self.ends.len() >= REMEMBERED {
            self.ends.clear();
        }
        self.ends.insert(text.to_owned(), end.clone());
        Ok(end)
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
) {
    let Answer { verdict, egress, ingress, missing } = answer;
    out.extend(b"{\"from\":");
    write_string(out, from);
    out.extend(b",\"to\":");
    write_string(out, to);
    out.extend(b",\"port\":");
    match port {
        Some(port) => write_number(out, port.into()),
        None => out.extend(b"null"),
    }
    out.extend(b",\"protocol\":");
    write_string(out, protocol_name(protocol));
    out.extend(b",\"verdict\":");
    write_string(out, verdict.name());
    out.extend(b",\"ingress\":");
    write_direction(out, ingress);
    out.extend(b",\"egress\":");
    write_direction(out, egress);
    out.extend(b",\"missing\":[");
    for (position, missing) in missing.iter().enumerate() {
        out.extend((position > 0).then_some(b','));
        write_string(out, &missing.to_string());
    }
    out.extend(b"]}");
}

fn write_direction(out: &mut Vec<u8>, direction: &DirectionAnswer<'_>) {
    let DirectionAnswer { verdict, isolated, by } = direction;
    out.extend(b"{\"verdict\":");
    write_string(out, verdict.name());
    out.extend(b",\"isolated\":");
    out.extend(if *isolated { &b"true"[..] } else { b"false" });
    out.extend(b",\"by\":[");
    for (position, Deciding { policy, rule }) in by.iter().enumerate() {
        out.extend((position > 0).then_some(b','));
        out.extend(b"{\"kind\":\"NetworkPolicy\",\"namespace\":");
        write_string(out, &policy.namespace);
        out.extend(b",\"name\":");
        write_string(out, &policy.name);
        if let Some(rule) = rule {
            out.extend(b",\"rule\":");
            write_number(out, *rule);
        }
        out.push(b'}');
    }
    out.extend(b"]}");
}

fn write_number(out: &mut Vec<u8>, number: u32) {
    out.extend(itoa::Buffer::new().format(number).as_bytes());
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    let is_plain = |byte: u8| (b' '..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        out.extend(serde_json::Value::from(text).to_string().as_bytes());
    }
}
