//! The two ends of a flow, by name or by address.

use palomar_flow::bytes::has_byte;

use super::Colour;
use super::colour::Paint;
use super::escape::push_escaped;
use super::shown::End;

/// Whether ends are shown by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Pod, service or DNS name where there is one.
    Names,
    /// Addresses only.
    Numeric,
}

/// Appends `namespace/pod:port`, or the next best; nothing if nothing is known.
pub fn push_host(out: &mut String, end: &End<'_>, naming: Naming, colour: Colour) {
    if end.known.is_none() && end.address.is_none() && end.ethernet.is_none() {
        return;
    }
    colour.paint(Paint::Host, out, |out| {
        let start = out.len();
        let port = if let Some(known) = end.known {
            out.push_str(known);
            end.port
        } else if let Some(address) = &end.address {
            if naming == Naming::Numeric || !push_name(out, end) {
                push_escaped(out, address);
            }
            end.port
        } else {
            push_escaped(out, end.ethernet.as_deref().unwrap_or_default());
            0
        };
        if port == 0 {
            return;
        }
        if has_byte(&out.as_bytes()[start..], b':') {
            out.insert(start, '[');
            out.push(']');
        }
        out.push(':');
        colour.paint(Paint::Port, out, |out| push_number(out, port.into()));
    });
}

/// Appends the name of an end; false if it has none.
fn push_name(out: &mut String, end: &End<'_>) -> bool {
    if !end.pod.is_empty() {
        push_pod(out, end);
    } else if !end.service.is_empty() {
        push_joined(out, &end.namespace, &end.service);
    } else if let Some(names) = end.names.joined() {
        push_escaped(out, &names);
    } else {
        return false;
    }
    true
}

/// Appends namespace and pod.
pub fn push_pod(out: &mut String, end: &End<'_>) {
    push_joined(out, &end.namespace, &end.pod);
}

/// Appends a number.
pub fn push_number(out: &mut String, number: u64) {
    out.push_str(itoa::Buffer::new().format(number));
}

fn push_joined(out: &mut String, namespace: &str, name: &str) {
    let is_plain =
        |part: &str| !part.is_empty() && !has_byte(part.as_bytes(), b'/') && !part.starts_with('.');
    if is_plain(namespace) && is_plain(name) {
        push_escaped(out, namespace);
        out.push('/');
        push_escaped(out, name);
    } else {
        push_escaped(out, &join(namespace, name));
    }
}

/// Joins as Go's `path.Join`: empty parts, `.`, `..` and double slashes vanish. Both empty: empty.
fn join(namespace: &str, name: &str) -> String {
    let text = [namespace, name].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    if text.is_empty() {
        return text;
    }
    let rooted = text.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            _ => parts.push(part),
        }
    }
    let cleaned = parts.join("/");
    match (rooted, cleaned.is_empty()) {
        (true, _) => format!("/{cleaned}"),
        (false, true) => ".".to_owned(),
        (false, false) => cleaned,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joining_cleans_as_go_does() {
        let table = [
            ("shop", "front", "shop/front"),
            ("", "front", "front"),
            ("shop", "", "shop"),
            ("", "", ""),
            ("a", "../b", "b"),
            ("a", "../../b", "../b"),
            ("/a//", "./b", "/a/b"),
            ("/", "..", "/"),
            ("a", "..", "."),
            ("a", ".b", "a/.b"),
            ("a", "b..", "a/b.."),
        ];
        for (namespace, name, wanted) in table {
            assert_eq!(join(namespace, name), wanted, "{namespace} and {name}");
            let mut pushed = String::new();
            push_joined(&mut pushed, namespace, name);
            assert_eq!(pushed, wanted, "{namespace} and {name}");
        }
    }
}
