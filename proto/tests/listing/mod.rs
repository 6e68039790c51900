//! Reads the listing of Hubble's declarations: one line for each message, enum and service.

#[derive(Debug, PartialEq)]
pub enum Item {
    Service(Service),
    Message(Message),
    Enum(Enum),
}

#[derive(Debug, PartialEq)]
pub struct Service {
    pub name: String,
    pub methods: Vec<Method>,
}

#[derive(Debug, PartialEq)]
pub struct Method {
    pub name: String,
    pub input: String,
    pub output: String,
    pub streams_input: bool,
    pub streams_output: bool,
}

#[derive(Debug, PartialEq)]
pub struct Message {
    /// With the names of the messages around it: `Tunnel.Protocol`.
    pub name: String,
    pub fields: Vec<Field>,
    pub reserved: Vec<i32>,
}

#[derive(Debug, PartialEq)]
pub struct Field {
    pub number: i32,
    pub name: String,
    pub type_name: String,
    pub repeated: bool,
    pub optional: bool,
    pub oneof: Option<String>,
    pub deprecated: bool,
}

#[derive(Debug, PartialEq)]
pub struct Enum {
    pub name: String,
    /// Number, name, whether deprecated.
    pub values: Vec<(i32, String, bool)>,
    pub reserved: Vec<i32>,
}

impl Item {
    pub fn name(&self) -> &str {
        match self {
            Self::Service(Service { name, .. })
            | Self::Message(Message { name, .. })
            | Self::Enum(Enum { name, .. }) => name,
        }
    }
}

/// The items of one package, in the listing's order. Panics on a line that it does not understand.
pub fn parse(listing: &str, package: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut inside = false;
    for line in listing.lines() {
        if let Some(heading) = line.strip_prefix("#### package `") {
            inside = heading.starts_with(&format!("{package}`"));
        } else if !inside || line.is_empty() {
        } else if let Some(method) = line.strip_prefix("  - `rpc ") {
            let Some(Item::Service(service)) = items.last_mut() else { panic!("no service above {line}") };
            service.methods.push(parse_method(method));
        } else {
            items.push(parse_item(
                line.strip_prefix("- ").unwrap_or_else(|| panic!("no item: {line}")),
                package,
            ));
        }
    }
    items
}

/// `GetNodes(GetNodesRequest) returns(stream GetNodesResponse)` and a closing backtick.
fn parse_method(text: &str) -> Method {
    let parts: Vec<&str> = text.trim_end_matches('`').split(['(', ')']).collect();
    let [name, input, " returns", output, ""] = parts[..] else { panic!("no method: {text}") };
    let unstreamed = |name: &str| name.trim_start_matches("stream ").to_owned();
    Method {
        name: name.to_owned(),
        input: unstreamed(input),
        output: unstreamed(output),
        streams_input: input.starts_with("stream "),
        streams_output: output.starts_with("stream "),
    }
}

/// `**Name** [reserved …]: entry, entry`, with `enum ` or `service ` in front of the name.
fn parse_item(text: &str, package: &str) -> Item {
    if let Some(name) = text.strip_prefix("**service ") {
        let name = name.trim_end_matches("**").strip_prefix(&format!("{package}."));
        return Item::Service(Service { name: name.unwrap().to_owned(), methods: Vec::new() });
    }
    let (head, body) = text.split_once(": ").unwrap_or_else(|| panic!("no item: {text}"));
    let (kind, rest) = head.split_once("**").unwrap();
    let (name, rest) = rest.split_once("**").unwrap();
    let (name, reserved) = (name.to_owned(), parse_reserved(rest));
    let entries = body.split(", ").filter(|entry| *entry != "(empty)");
    match kind {
        "enum " => Item::Enum(Enum { name, values: entries.map(parse_value).collect(), reserved }),
        "" => Item::Message(Message { name, fields: entries.map(parse_field).collect(), reserved }),
        other => panic!("neither message nor enum: {other}"),
    }
}

/// ` [reserved 7; reserved 1 to 3; reserved 17 , 18]`, or nothing.
fn parse_reserved(text: &str) -> Vec<i32> {
    let ranges = text.trim().trim_start_matches('[').trim_end_matches(']').split([';', ',']);
    ranges
        .map(|range| range.trim().trim_start_matches("reserved "))
        .filter(|range| !range.is_empty())
        .flat_map(|range| {
            let (first, last) = range.split_once(" to ").unwrap_or((range, range));
            first.parse().unwrap()..=last.parse().unwrap()
        })
        .collect()
}

/// `130 INVALID_SOURCE_MAC (dep)`.
fn parse_value(text: &str) -> (i32, String, bool) {
    let (number, name) = text.split_once(' ').unwrap();
    let deprecated = name.strip_suffix(" (dep)");
    (number.parse().unwrap(), deprecated.unwrap_or(name).to_owned(), deprecated.is_some())
}

/// ``102 `kafka` repeated Kafka (oneof record) **deprecated**``.
fn parse_field(text: &str) -> Field {
    let (number, rest) = text.split_once(" `").unwrap_or_else(|| panic!("no field: {text}"));
    let (name, rest) = rest.split_once("` ").unwrap();
    let (rest, deprecated) = match rest.strip_suffix(" **deprecated**") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let (rest, oneof) = match rest.split_once(" (oneof ") {
        Some((rest, oneof)) => (rest, Some(oneof.trim_end_matches(')').to_owned())),
        None => (rest, None),
    };
    let unlabelled = rest.strip_prefix("repeated ");
    Field {
        number: number.parse().unwrap(),
        name: name.to_owned(),
        type_name: unlabelled.unwrap_or(rest).to_owned(),
        repeated: unlabelled.is_some(),
        // Hubble marks no field `optional`: absence is told by wrapper messages
        optional: false,
        oneof,
        deprecated,
    }
}
