//! Kubernetes' rules for names and labels. Each rule gives the reason why a text breaks it.

use palomar_model::packet::Protocol;
use palomar_model::ports;

use crate::error::quoted;

/// A label key: `name` or `prefix/name`.
pub(crate) fn label_key(text: &str) -> Result<(), String> {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    if prefix.is_some_and(|prefix| !is_subdomain(prefix)) || !is_label_word(name) || name.is_empty() {
        return Err(format!(
            "{} is not a label key (up to 63 letters, digits, '-', '_' and '.', a letter or digit at both ends; \
             optionally a DNS name and '/' before it)",
            quoted(text)
        ));
    }
    Ok(())
}

/// A label value; may be empty.
pub(crate) fn label_value(text: &str) -> Result<(), String> {
    if is_label_word(text) {
        return Ok(());
    }
    Err(format!(
        "{} is not a label value (up to 63 letters, digits, '-', '_' and '.', a letter or digit at both ends)",
        quoted(text)
    ))
}

/// A DNS-1123 label: the names of namespaces and services.
pub(crate) fn dns_label(text: &str) -> Result<(), String> {
    if is_dns_label(text) {
        return Ok(());
    }
    Err(format!(
        "{} is not a name (up to 63 lower-case letters, digits and '-', a letter or digit at both ends)",
        quoted(text)
    ))
}

/// A DNS-1123 subdomain: the names of most objects.
pub(crate) fn dns_subdomain(text: &str) -> Result<(), String> {
    if is_subdomain(text) {
        return Ok(());
    }
    Err(format!(
        "{} is not a name (up to 253 lower-case letters, digits, '-' and '.', a letter or digit at both ends of each \
         part)",
        quoted(text)
    ))
}

/// The name of a container's port.
pub(crate) fn port_name(text: &str) -> Result<(), String> {
    match ports::name_problem(text) {
        None => Ok(()),
        Some(problem) => Err(format!("{} is not the name of a port: {problem}", quoted(text))),
    }
}

/// A protocol by its name, those without ports included.
pub(crate) fn protocol(text: &str) -> Result<Protocol, String> {
    match text {
        "TCP" => Ok(Protocol::Tcp),
        "UDP" => Ok(Protocol::Udp),
        "SCTP" => Ok(Protocol::Sctp),
        "ICMP" => Ok(Protocol::Icmp),
        "ICMPv6" => Ok(Protocol::Icmpv6),
        _ => Err(format!("{} is not a protocol (known: TCP, UDP, SCTP, ICMP, ICMPv6)", quoted(text))),
    }
}

/// `metadata.uid`: any short identifier, as the API server makes them.
pub(crate) fn uid(text: &str) -> Result<(), String> {
    let is_uid =
        text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    if is_uid {
        Ok(())
    } else {
        Err(format!("{} is not a uid (up to 128 letters, digits and \"-_.:\")", quoted(text)))
    }
}

/// The kind of an object, e.g. `StatefulSet`.
pub(crate) fn kind(text: &str) -> Result<(), String> {
    let is_kind = (1..=63).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_kind {
        Ok(())
    } else {
        Err(format!("{} is not a kind (up to 63 letters and digits)", quoted(text)))
    }
}

fn is_label_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
        && bytes.first().is_none_or(u8::is_ascii_alphanumeric)
        && bytes.last().is_none_or(u8::is_ascii_alphanumeric)
}

fn is_dns_label(text: &str) -> bool {
    is_dns_part(text) && text.len() <= 63
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_part)
}

fn is_dns_part(text: &str) -> bool {
    let is_alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.iter().all(|byte| is_alphanumeric(byte) || *byte == b'-')
        && bytes.first().is_some_and(is_alphanumeric)
        && bytes.last().is_some_and(is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rule = fn(&str) -> Result<(), String>;

    #[test]
    fn names_and_labels_follow_kubernetes() {
        let long = "a".repeat(64);
        let table: [(&str, Rule, &str, bool); 24] = [
            ("a plain key", label_key, "app", true),
            ("a key with a prefix", label_key, "app.kubernetes.io/name", true),
            ("an empty key", label_key, "", false),
            ("an empty prefix", label_key, "/name", false),
            ("an empty name after a prefix", label_key, "a.b/", false),
            ("two slashes", label_key, "a/b/c", false),
            ("upper case in a prefix", label_key, "A.b/c", false),
            ("a key of 64", label_key, &long, false),
            ("an empty value", label_value, "", true),
            ("a value with all signs", label_value, "a-b_C.d", true),
            ("a sign at the start", label_value, "-a", false),
            ("a sign at the end", label_value, "a.", false),
            ("an escape sequence in a value", label_value, "\u{1b}[31mred", false),
            ("a newline in a value", label_value, "a\nb", false),
            ("letters beyond ASCII", label_value, "café", false),
            ("a value of 64", label_value, &long, false),
            ("a namespace", dns_label, "np-demo", true),
            ("a dot in a namespace", dns_label, "np.demo", false),
            ("a name of 64", dns_label, &long, false),
            ("a pod's name with dots", dns_subdomain, "web-0.v1", true),
            ("an underscore in a name", dns_subdomain, "web_0", false),
            ("upper case in a name", dns_subdomain, "Web", false),
            ("an empty part of a name", dns_subdomain, "a..b", false),
            ("an empty name", dns_subdomain, "", false),
        ];
        for (name, rule, text, is_right) in table {
            assert_eq!(rule(text).is_ok(), is_right, "{name}");
        }
        assert!(uid("fd3c1234-53c6-4798").is_ok() && uid("a\u{7}").is_err());
        assert!(kind("StatefulSet").is_ok() && kind("").is_err() && kind("a b").is_err());
    }
}
