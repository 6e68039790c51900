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
    let Ok(net) = written.parse::<IpNet>() else {
        return Err(path.reject(Reason::NotACidr { written: written.to_owned() }));
    };
    let mapped = match net.addr() {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.to_ipv4_mapped().is_some(),
    };
    if mapped {
        return Err(path.reject(Reason::MappedCidr { written: written.to_owned() }));
    }
    Ok(net.trunc())
}
