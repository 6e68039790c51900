//! Whether relay or server speak a newer API than we do.

use std::io::{self, Write};

use palomar_transport::version::{HUBBLE_VERSION, RELAY_VERSION_HEADER, SERVER_VERSION_HEADER};
use tonic::metadata::MetadataMap;

use crate::log;

/// Warns of each of them that does, and tells whether one does.
pub fn warn_of_newer(headers: &MetadataMap, err: &mut dyn Write) -> io::Result<bool> {
    let mut newer = false;
    for (what, header) in [("relay", RELAY_VERSION_HEADER), ("server", SERVER_VERSION_HEADER)] {
        let theirs = headers.get(header).and_then(|version| version.to_str().ok()).unwrap_or_default();
        if minor(theirs) > minor(HUBBLE_VERSION) {
            newer = true;
            let message =
                format!("the {what} speaks a newer API than this command, some of its flows may look wrong");
            let fields = [("hubble-cli-version", HUBBLE_VERSION.into()), (header, theirs.into())];
            log::line(err, log::Level::Warn, &message, &fields)?;
        }
    }
    Ok(newer)
}

/// Major and minor number; `None`, which is less than any, for what is no version.
fn minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim_start_matches('v').split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_newer_servers_are_warned_of() {
        let table = [
            ("the same", HUBBLE_VERSION, false),
            ("a newer patch", "1.19.99", false),
            ("a newer minor", "v1.20.0", true),
            ("a newer major", "2.0.0-rc.1", true),
            ("older", "1.9.9", false),
            ("no version", "nonsense", false),
        ];
        for (what, version, warned) in table {
            let mut headers = MetadataMap::new();
            headers.insert(SERVER_VERSION_HEADER, version.parse().unwrap());
            let mut err = Vec::new();
            assert_eq!(warn_of_newer(&headers, &mut err).unwrap(), warned, "{what}");
            assert_eq!(!err.is_empty(), warned, "{what}");
        }
    }
}
