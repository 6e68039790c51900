//! One label in its parts.

use palomar_model::labels::Label;

/// A label's source, key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelParts<'a> {
    /// Where it comes from, e.g. `k8s`; `unspec` where the text does not say.
    pub source: &'a str,
    /// The key.
    pub key: &'a str,
    /// The value; may be empty.
    pub value: &'a str,
}

impl<'a> LabelParts<'a> {
    /// The parts of a label in Hubble's form: `source:key=value`, source and value optional.
    pub fn of_text(text: &'a str) -> Self {
        let key_end = text.find('=').unwrap_or(text.len());
        let (source, rest) = match text[..key_end].find(':') {
            Some(at) => (&text[..at], &text[at + 1..]),
            None => ("unspec", text),
        };
        let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
        Self { source, key, value }
    }
}

impl<'a> From<&'a Label> for LabelParts<'a> {
    fn from(Label { source, key, value }: &'a Label) -> Self {
        Self { source, key, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_three_parts_of_which_two_may_be_missing() {
        let table = [
            ("k8s:app=web", ("k8s", "app", "web")),
            ("reserved:world", ("reserved", "world", "")),
            ("zone=a", ("unspec", "zone", "a")),
            ("zone=a:b", ("unspec", "zone", "a:b")),
            ("cidr:fd00::/8", ("cidr", "fd00::/8", "")),
            ("plain", ("unspec", "plain", "")),
        ];
        for (text, (source, key, value)) in table {
            assert_eq!(LabelParts::of_text(text), LabelParts { source, key, value });
        }
    }
}
