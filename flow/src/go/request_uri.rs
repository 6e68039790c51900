//! The path of a request URI, as Go's `url.ParseRequestURI` finds it.

/// The decoded path of an absolute URL or an absolute path; `None` where Go would refuse the text.
/// A `#` belongs to the path, since requests carry no fragment.
pub fn path(uri: &str) -> Option<String> {
    if uri.is_empty() || uri.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return None;
    }
    if uri == "*" {
        return Some(uri.to_owned());
    }
    let (scheme, rest) = split_scheme(uri)?;
    let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
    if !rest.starts_with('/') {
        return scheme.map(|_| String::new());
    }
    let encoded = match rest.strip_prefix("//") {
        Some(behind) if scheme.is_some() => behind.find('/').map_or("", |at| &behind[at..]),
        _ => rest,
    };
    decode(encoded)
}

fn split_scheme(uri: &str) -> Option<(Option<&str>, &str)> {
    let end = uri.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)).unwrap_or(uri.len());
    match (end, uri[end..].strip_prefix(':')) {
        (0, Some(_)) => None,
        (1.., Some(rest)) if uri.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            Some((Some(&uri[..end]), rest))
        }
        _ => Some((None, uri)),
    }
}

fn decode(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
                u8::try_from(high? * 16 + low?).expect("invariant: two hexadecimal digits fit one byte")
            }
            other => other,
        });
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_as_go_finds_them() {
        let table = [
            ("http://back.shop/items?id=1", Some("/items")),
            ("http://back.shop", Some("")),
            ("/items?x#y", Some("/items")),
            ("/a%20b#c", Some("/a b#c")),
            ("/a%zz", None),
            ("/a%2", None),
            ("items", None),
            ("", None),
            ("*", Some("*")),
            ("mailto:someone", Some("")),
            (":nope", None),
            ("//host/path", Some("//host/path")),
            ("/with\x01control", None),
        ];
        for (uri, expected) in table {
            assert_eq!(path(uri).as_deref(), expected, "{uri:?}");
        }
    }
}
