//! YAML text to trees, within limits.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, Tag, options};

use crate::error::{Problem, quoted};
use crate::scalar;
use crate::tree::{Document, Key, Node, Value};

/// The most values that a file may hold once its aliases are expanded.
pub(crate) const MAX_NODES: usize = 2_000_000;
/// How deep mappings and lists may stand in each other, aliases expanded.
pub(crate) const MAX_DEPTH: usize = 100;
/// How many problems of a file are told.
pub const MAX_PROBLEMS: usize = 50;

/// All documents of a text. After a syntax error reading goes on at the next `---`, so that the names of the
/// objects there are known; the limits end it for good.
pub(crate) fn load(text: &str) -> Vec<Document> {
    let mut parser = Parser::new_from_str_with_options(text, parser_options());
    let mut builder = Builder::default();
    let mut documents = Vec::new();
    while let Some(event) = parser.next_event() {
        match event {
            Ok((Event::StreamEnd, _)) => break,
            Ok((Event::DocumentStart(..), span)) => builder = builder.next_document(line_of(&span)),
            Ok((Event::DocumentEnd, _)) => documents.extend(builder.take_document()),
            Ok((event, span)) => {
                builder.event(event, &span);
                if builder.is_over_limit {
                    documents.extend(builder.take_document());
                    break;
                }
            }
            Err(error) => {
                builder.is_open = true;
                builder.syntax_error(&error);
                documents.extend(builder.take_document());
                if documents.len() >= MAX_PROBLEMS || !matches!(parser.proceed_next_document(), Ok(true)) {
                    break;
                }
            }
        }
    }
    documents
}

fn parser_options() -> Options {
    // JSON puts long strings where a key could stand; only their number of characters is limited here.
    options! { flow_nesting_limit: MAX_DEPTH, block_nesting_limit: MAX_DEPTH, simple_key_max_lookahead: 4096 }
}

fn line_of(span: &Span) -> u32 {
    u32::try_from(span.start.line()).unwrap_or(u32::MAX)
}

/// A node with what an alias of it costs.
#[derive(Debug, Clone)]
struct Built {
    node: Node,
    /// Values in it, itself included.
    count: usize,
    /// Mappings and lists that stand in each other in it; 0 for a scalar.
    depth: usize,
}

/// A collection that is being read.
#[derive(Debug)]
struct Frame {
    line: u32,
    anchor: usize,
    count: usize,
    depth: usize,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Seq(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, names: HashSet<Arc<str>>, pending: Option<Key> },
}

#[derive(Debug, Default)]
struct Builder {
    frames: Vec<Frame>,
    anchors: HashMap<usize, Built>,
    root: Option<Node>,
    problems: Vec<Problem>,
    start_line: u32,
    /// Values of the whole file so far.
    total: usize,
    is_open: bool,
    is_over_limit: bool,
    /// After a syntax error, a merge key, or an alias that leads nowhere: something is not there that was meant.
    is_torn: bool,
}

impl Builder {
    fn next_document(self, line: u32) -> Self {
        Self { start_line: line, total: self.total, is_open: true, ..Self::default() }
    }

    /// What has been read of the document; unfinished collections are closed as they are.
    fn take_document(&mut self) -> Option<Document> {
        if !self.is_open {
            return None;
        }
        self.is_open = false;
        while let Some(frame) = self.frames.pop() {
            let built = frame.close();
            self.place(built);
        }
        let root = self.root.take().unwrap_or(Node::null(self.start_line));
        self.anchors.clear();
        let is_whole = !(self.is_torn || self.is_over_limit);
        Some(Document { root, problems: std::mem::take(&mut self.problems), is_whole })
    }

    fn event(&mut self, event: Event<'_>, span: &Span) {
        let line = line_of(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), line);
                if self.wants_key() {
                    self.key(&text, line);
                } else {
                    self.finish(Built { node: Node { line, value }, count: 1, depth: 0 }, anchor);
                }
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.collection_tag(tag.as_deref(), "seq", line);
                self.open(line, anchor, Content::Seq(Vec::new()));
            }
            Event::MappingStart(_, anchor, tag) => {
                self.collection_tag(tag.as_deref(), "map", line);
                let content = Content::Map { entries: Vec::new(), names: HashSet::new(), pending: None };
                self.open(line, anchor, content);
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(frame) = self.frames.pop() {
                    let anchor = frame.anchor;
                    self.finish(frame.close(), anchor);
                }
            }
            Event::Alias(id) => self.alias(id, line),
            _ => {}
        }
    }

    fn wants_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame { content: Content::Map { pending: None, .. }, .. }))
    }

    fn key(&mut self, text: &str, line: u32) {
        let text: Arc<str> = Arc::from(text);
        if &*text == "<<" {
            self.is_torn = true;
            self.problem(line, "merge keys (<<) are not supported; write the fields out".into());
        }
        let Some(Frame { content: Content::Map { names, pending, .. }, .. }) = self.frames.last_mut() else {
            return;
        };
        let is_new = names.insert(Arc::clone(&text));
        *pending = Some(Key { text, line });
        if !is_new {
            self.problem(line, "stands here twice".into());
        }
    }

    fn open(&mut self, line: u32, anchor: usize, content: Content) {
        if self.wants_key() {
            self.problem(line, "a mapping or a list cannot be a key".into());
            self.key("", line);
        }
        self.frames.push(Frame { line, anchor, count: 1, depth: 1, content });
        if self.frames.len() > MAX_DEPTH {
            self.over_limit(line, format!("more than {MAX_DEPTH} mappings and lists in each other"));
        }
    }

    fn alias(&mut self, id: usize, line: u32) {
        let Some(built) = self.anchors.get(&id).cloned() else {
            self.is_torn = true;
            self.problem(line, "an alias to a value that holds it".into());
            self.finish(Built { node: Node::null(line), count: 1, depth: 0 }, 0);
            return;
        };
        if self.wants_key() {
            let text = built.node.as_str().unwrap_or_default().to_owned();
            self.key(&text, line);
        } else {
            self.finish(built, 0);
        }
    }

    fn finish(&mut self, built: Built, anchor: usize) {
        let line = built.node.line;
        if self.frames.len() + built.depth > MAX_DEPTH {
            self.over_limit(line, format!("more than {MAX_DEPTH} mappings and lists in each other"));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, built.clone());
        }
        self.place(built);
    }

    /// Puts a finished node where it belongs and counts it.
    fn place(&mut self, built: Built) {
        let Built { node, count, depth } = built;
        let line = node.line;
        let Some(frame) = self.frames.last_mut() else {
            self.total = self.total.saturating_add(count);
            self.root.get_or_insert(node);
            return;
        };
        frame.count = frame.count.saturating_add(count);
        frame.depth = frame.depth.max(depth + 1);
        match &mut frame.content {
            Content::Seq(items) => items.push(node),
            Content::Map { entries, pending, .. } => {
                if let Some(key) = pending.take() {
                    entries.push((key, node));
                }
            }
        }
        let open: usize = self.frames.iter().map(|frame| frame.count).fold(self.total, usize::saturating_add);
        if open > MAX_NODES {
            self.over_limit(line, format!("more than {MAX_NODES} values in the file, aliases expanded"));
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, line: u32) -> Value {
        let as_string = || Value::Str(Arc::from(text));
        match tag.map(|tag| (tag, tag.core_suffix())) {
            None if style == ScalarStyle::Plain => scalar::resolve(text),
            None | Some((_, Some("str"))) => as_string(),
            Some((_, Some("int" | "bool" | "float" | "null"))) => scalar::resolve(text),
            Some((tag, _)) if tag.handle().is_empty() && tag.suffix() == "!" => as_string(),
            Some((tag, _)) => {
                self.problem(line, format!("the YAML tag {} is not supported", quoted(&tag.original())));
                as_string()
            }
        }
    }

    fn collection_tag(&mut self, tag: Option<&Tag>, expected: &str, line: u32) {
        if let Some(tag) = tag.filter(|tag| tag.core_suffix() != Some(expected)) {
            self.problem(line, format!("the YAML tag {} is not supported", quoted(&tag.original())));
        }
    }

    fn over_limit(&mut self, line: u32, reason: String) {
        if !self.is_over_limit {
            self.is_over_limit = true;
            self.problems.push(Problem::new(line, "", reason));
        }
    }

    fn syntax_error(&mut self, error: &ScanError) {
        self.is_torn = true;
        let at = error.marker();
        let line = u32::try_from(at.line()).unwrap_or(u32::MAX);
        let reason = format!("not YAML: {} (column {})", error.info(), at.col() + 1);
        self.problems.push(Problem::new(line, "", reason));
    }

    fn problem(&mut self, line: u32, reason: String) {
        if self.problems.len() < MAX_PROBLEMS {
            let path = self.path();
            self.problems.push(Problem::new(line, path, reason));
        }
    }

    /// Where reading stands, e.g. `spec.ports[2].name`.
    fn path(&self) -> String {
        let mut path = String::new();
        for frame in &self.frames {
            match &frame.content {
                Content::Seq(items) => path.extend(["[", &items.len().to_string(), "]"]),
                Content::Map { pending: None, .. } => {}
                Content::Map { pending: Some(key), .. } => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&key.text);
                }
            }
        }
        path
    }
}

// === impl Frame ===

impl Frame {
    fn close(self) -> Built {
        let Self { line, anchor: _, count, depth, content } = self;
        let value = match content {
            Content::Seq(items) => Value::Seq(Arc::new(items)),
            Content::Map { mut entries, names, pending } => {
                if let Some(key) = pending {
                    let line = key.line;
                    entries.push((key, Node::null(line)));
                }
                if names.len() < entries.len() {
                    // Of a key that stands there twice, which is told, the first stays.
                    let mut seen = HashSet::new();
                    entries.retain(|(key, _)| seen.insert(Arc::clone(&key.text)));
                }
                Value::Map(Arc::new(entries))
            }
        };
        Built { node: Node { line, value }, count, depth }
    }
}
