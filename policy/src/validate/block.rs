//! An `ipBlock`.

use std::net::IpAddr;

use ipnet::IpNet;
use palomar_model::netpol::IpBlock;

use super::{Checked, FieldPath, Reason, each};
use crate::draft::IpBlockDraft;

pub(super) fn validate(draft: IpBlockDraft, path: &FieldPath) -> Checked<IpBlock> {
    let IpBlockDraft { cidr, except } = draft;
    let at = path.key("cidr");
    let Some(written) = cidr else {
        return Err(at.reject(Reason::Missing));
    };
    let cidr = parse(&written, &at)?;
    let mut except = each(except, &path.key("except"), |written, at| {
        let net = parse(&written, at)?;
        if net == cidr || !cidr.contains(&net) {
            return Err(at.reject(Reason::ExceptOutside { written, cidr: cidr.to_string() }));
        }
        Ok(net)
    })?;
    except.sort_unstable();
    except.dedup();
    Ok(IpBlock { cidr, except })
}

/// Host bits are cleared, as everyone who keeps Kubernetes policies reads them.
fn parse(written: &str, path: &FieldPath) -> Checked<IpNet> {
    let Some((address, length)) = parts(written) else {
        return Err(path.reject(Reason::NotACidr { written: written.to_owned() }));
    };
    if address.to_canonical() != address {
        return Err(path.reject(Reason::MappedCidr { written: written.to_owned() }));
    }
    let net = IpNet::new(address, length);
    net.map(|net| net.trunc()).map_err(|_| path.reject(Reason::NotACidr { written: written.to_owned() }))
}

/// Numbers with leading zeros are refused: some read them as octal.
fn parts(written: &str) -> Option<(IpAddr, u8)> {
    let (address, length_text) = written.split_once('/')?;
    let length: u8 = length_text.parse().ok()?;
    (length.to_string() == length_text).then_some(())?;
    Some((address.parse().ok()?, length))
}
