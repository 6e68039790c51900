//! Names of ICMP messages, as gopacket gives them: Hubble's summaries use those.

/// The messages of one version: type, name, and names of the codes from 0 up.
pub(super) struct Messages(&'static [(u8, &'static str, &'static [&'static str])]);

impl Messages {
    /// The name of a message, with its code where the type has codes or the code is not 0.
    pub(super) fn name(&self, kind: u8, code: u8) -> String {
        let Some((_, name, codes)) = self.0.iter().find(|(candidate, ..)| *candidate == kind) else {
            return format!("{kind}({code})");
        };
        match (codes.get(usize::from(code)), code) {
            (Some(code), _) => format!("{name}({code})"),
            (None, 0) if codes.is_empty() => (*name).to_owned(),
            (None, _) => format!("{name}(Code: {code})"),
        }
    }
}

/// `ICMPv4`.
pub(super) const V4: Messages = Messages(&[
    (0, "EchoReply", &[]),
    (
        3,
        "DestinationUnreachable",
        &[
            "Net",
            "Host",
            "Protocol",
            "Port",
            "FragmentationNeeded",
            "SourceRoutingFailed",
            "NetUnknown",
            "HostUnknown",
            "SourceIsolated",
            "NetAdminProhibited",
            "HostAdminProhibited",
            "NetTOS",
            "HostTOS",
            "CommAdminProhibited",
            "HostPrecedence",
            "PrecedenceCutoff",
        ],
    ),
    (4, "SourceQuench", &[]),
    (5, "Redirect", &["Net", "Host", "TOS+Net", "TOS+Host"]),
    (8, "EchoRequest", &[]),
    (9, "RouterAdvertisement", &[]),
    (10, "RouterSolicitation", &[]),
    (11, "TimeExceeded", &["TTLExceeded", "FragmentReassemblyTimeExceeded"]),
    (12, "ParameterProblem", &["PointerIndicatesError", "MissingOption", "BadLength"]),
    (13, "TimestampRequest", &[]),
    (14, "TimestampReply", &[]),
    (15, "InfoRequest", &[]),
    (16, "InfoReply", &[]),
    (17, "AddressMaskRequest", &[]),
    (18, "AddressMaskReply", &[]),
]);

/// `ICMPv6`.
pub(super) const V6: Messages = Messages(&[
    (
        1,
        "DestinationUnreachable",
        &[
            "NoRouteToDst",
            "AdminProhibited",
            "BeyondScopeOfSrc",
            "AddressUnreachable",
            "PortUnreachable",
            "SrcAddressFailedPolicy",
            "RejectRouteToDst",
        ],
    ),
    (2, "PacketTooBig", &[]),
    (3, "TimeExceeded", &["HopLimitExceeded", "FragmentReassemblyTimeExceeded"]),
    (4, "ParameterProblem", &["ErroneousHeaderField", "UnrecognizedNextHeader", "UnrecognizedIPv6Option"]),
    (128, "EchoRequest", &[]),
    (129, "EchoReply", &[]),
    (133, "RouterSolicitation", &[]),
    (134, "RouterAdvertisement", &[]),
    (135, "NeighborSolicitation", &[]),
    (136, "NeighborAdvertisement", &[]),
    (137, "Redirect", &[]),
]);
