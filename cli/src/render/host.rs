//! The two ends of a flow, by name or by address.

use palomar_flow::view::Side;
use palomar_proto::flow::Flow;
use palomar_proto::flow::layer4::Protocol;

use super::Colour;
use super::escape::escape;

/// Whether ends are shown by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Pod, service or DNS name where there is one.
    Names,
    /// Addresses only.
    Numeric,
}

/// `namespace/pod:port`, or the next best. Empty if nothing is known.
pub fn host(flow: &Flow, side: Side, naming: Naming, colour: Colour) -> String {
    let (name, port) = if let Some(ip) = &flow.ip {
        let address = side.of(&ip.source, &ip.destination);
        let name = match naming {
            Naming::Numeric => address.clone(),
            Naming::Names => known_name(flow, side).unwrap_or_else(|| address.clone()),
        };
        (name, port(flow, side))
    } else {
        let ethernet = flow.ethernet.as_ref();
        (ethernet.map(|ends| side.of(&ends.source, &ends.destination).clone()).unwrap_or_default(), 0)
    };
    let name = escape(&name);
    match port {
        0 => colour.host(&name),
        _ if name.contains(':') => colour.host(&format!("[{name}]:{}", colour.port(&port.to_string()))),
        _ => colour.host(&format!("{name}:{}", colour.port(&port.to_string()))),
    }
}

fn known_name(flow: &Flow, side: Side) -> Option<String> {
    let endpoint = side.of(&flow.source, &flow.destination).as_ref();
    let service = side.of(&flow.source_service, &flow.destination_service).as_ref();
    let pod = endpoint.map_or("", |endpoint| endpoint.pod_name.as_str());
    // a service message sets the namespace even where it has none, and for the pod as well
    let namespace = match (service, endpoint) {
        (Some(service), _) => service.namespace.as_str(),
        (None, Some(endpoint)) => endpoint.namespace.as_str(),
        (None, None) => "",
    };
    let names = side.of(&flow.source_names, &flow.destination_names);
    if !pod.is_empty() {
        Some(join(namespace, pod))
    } else if let Some(service) = service.filter(|service| !service.name.is_empty()) {
        Some(join(namespace, &service.name))
    } else if names.is_empty() {
        None
    } else {
        Some(names.join(","))
    }
}

/// The port of a protocol that has ports; else zero, as where it is not known.
fn port(flow: &Flow, side: Side) -> u32 {
    match flow.l4.as_ref().and_then(|l4| l4.protocol.as_ref()) {
        Some(Protocol::Tcp(tcp)) => side.of(tcp.source_port, tcp.destination_port),
        Some(Protocol::Udp(udp)) => side.of(udp.source_port, udp.destination_port),
        Some(Protocol::Sctp(sctp)) => side.of(sctp.source_port, sctp.destination_port),
        _ => 0,
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
        ];
        for (namespace, name, wanted) in table {
            assert_eq!(join(namespace, name), wanted, "{namespace} and {name}");
        }
    }
}
