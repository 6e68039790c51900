//! Ports that pods give names to.

use std::sync::Arc;

use crate::packet::Protocol;

/// A port of a container that has a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedPort {
    /// Its name, e.g. `http`; never empty.
    pub name: String,
    /// TCP, UDP or SCTP.
    pub protocol: Protocol,
    /// What the name stands for.
    pub number: u16,
}

/// The named ports of a pod: sorted, without repeats; cheap to clone. Two containers may give the same name to
/// different ports, and then it stands for both.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedPorts(Arc<[NamedPort]>);

impl NamedPort {
    /// Whether it has this name and protocol.
    pub fn is(&self, name: &str, protocol: Protocol) -> bool {
        self.name == name && self.protocol == protocol
    }
}

impl NamedPorts {
    /// From ports in any order.
    pub fn new(mut ports: Vec<NamedPort>) -> Self {
        ports.sort();
        ports.dedup();
        Self(ports.into())
    }

    /// All of them, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &NamedPort> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a name stands for in a protocol, ascending; nothing where the pod has no such port.
    pub fn numbers(&self, name: &str, protocol: Protocol) -> impl Iterator<Item = u16> {
        let named = self.0.iter().filter(move |port| port.is(name, protocol));
        named.map(|port| port.number)
    }

    /// Those that `keep` takes.
    #[must_use]
    pub fn only(&self, mut keep: impl FnMut(&NamedPort) -> bool) -> Self {
        if self.0.iter().all(&mut keep) {
            return self.clone();
        }
        Self(self.0.iter().filter(|port| keep(port)).cloned().collect())
    }
}

impl FromIterator<NamedPort> for NamedPorts {
    fn from_iter<I: IntoIterator<Item = NamedPort>>(ports: I) -> Self {
        Self::new(ports.into_iter().collect())
    }
}

/// What is wrong with a text as the name of a port; `None`: nothing is. Kubernetes asks for an IANA service name in
/// lower case.
pub fn name_problem(name: &str) -> Option<&'static str> {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > 15 {
        Some("it is longer than 15 characters")
    } else if !name.bytes().all(is_inner) {
        Some("only lower-case letters, digits and '-' may stand in it")
    } else if !name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        Some("it needs at least one letter")
    } else if name.contains("--") {
        Some("two '-' stand beside each other")
    } else if name.starts_with('-') || name.ends_with('-') {
        Some("it must begin and end with a letter or digit")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_kubernetes() {
        let table = [
            ("letters", "http", true),
            ("letters, digits and hyphens", "serve-80-tcp", true),
            ("a digit first", "8080-a", true),
            ("fifteen characters", "abcdefghijklmno", true),
            ("sixteen characters", "abcdefghijklmnop", false),
            ("nothing", "", false),
            ("digits alone", "8080", false),
            ("upper case", "Http", false),
            ("a dot", "http.alt", false),
            ("two hyphens beside each other", "a--b", false),
            ("a hyphen first", "-a", false),
            ("a hyphen last", "a-", false),
        ];
        for (sentence, name, is_right) in table {
            assert_eq!(name_problem(name).is_none(), is_right, "{sentence}");
        }
    }

    #[test]
    fn a_name_stands_for_the_ports_of_its_protocol_and_maybe_for_several() {
        let port = |name: &str, protocol, number| NamedPort { name: name.into(), protocol, number };
        let ports = NamedPorts::new(vec![
            port("http", Protocol::Tcp, 8080),
            port("http", Protocol::Tcp, 80),
            port("http", Protocol::Tcp, 80),
            port("dns", Protocol::Udp, 53),
        ]);
        let numbers = |name, protocol| ports.numbers(name, protocol).collect::<Vec<_>>();
        assert_eq!(numbers("http", Protocol::Tcp), [80, 8080]);
        assert_eq!(numbers("http", Protocol::Udp), []);
        assert_eq!(numbers("dns", Protocol::Udp), [53]);
        assert_eq!(numbers("metrics", Protocol::Tcp), []);
        assert_eq!(ports.only(|port| port.name == "dns").iter().count(), 1);
    }
}
