//! An `ipBlock`.

use std::net::IpAddr;

use ipnet::IpNet;
use palomar_model::netpol::IpBlock;

use super::{Faults, FieldPath, Reason, each};
use crate::draft::IpBlockDraft;

pub(super) fn validate(draft: IpBlockDraft, path: &FieldPath, faults: &mut Faults) -> Option<IpBlock> {
    let IpBlockDraft { cidr, except } = draft;
    let at = path.key("cidr");
    let cidr = match cidr {
        Some(written) => parse(&written, &at, faults),
        None => faults.reject(&at, Reason::Missing),
    };
    let mut except = each(except, &path.key("except"), faults, |written, at, faults| {
        let net = parse(&written, at, faults)?;
        match cidr {
            Some(cidr) if net == cidr || !cidr.contains(&net) => {
                faults.reject(at, Reason::ExceptOutside { written, cidr: cidr.to_string() })
            }
            // Of a range that is none, nobody can say what lies outside it.
            _ => Some(net),
        }
    });
    except.sort_unstable();
    except.dedup();
    Some(IpBlock { cidr: cidr?, except })
}

/// Host bits are cleared, as everyone who keeps Kubernetes policies reads them.
fn parse(written: &str, path: &FieldPath, faults: &mut Faults) -> Option<IpNet> {
    let Some((address, length)) = parts(written) else {
        return faults.reject(path, Reason::NotACidr { written: written.to_owned() });
    };
    if address.to_canonical() != address {
        return faults.reject(path, Reason::MappedCidr { written: written.to_owned() });
    }
    match IpNet::new(address, length) {
        Ok(net) => Some(net.trunc()),
        Err(_) => faults.reject(path, Reason::NotACidr { written: written.to_owned() }),
    }
}

/// Numbers with leading zeros are refused: some read them as octal.
fn parts(written: &str) -> Option<(IpAddr, u8)> {
    let (address, length_text) = written.split_once('/')?;
    let length: u8 = length_text.parse().ok()?;
    (length.to_string() == length_text).then_some(())?;
    Some((address.parse().ok()?, length))
}
