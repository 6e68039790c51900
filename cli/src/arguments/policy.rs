//! Flags of the commands about policies.

use super::commands::Group;
use super::declare::{Declared, Kind, switch, text};
use super::{filters, selectors};

const MANIFESTS: Declared = text(
    "manifests",
    "DIR",
    "Kubernetes YAML to answer from: a directory or a file (-: stdin); several are separated by commas [default: the \
     objects of the agent]",
)
.of(Kind::List);

const MASQUERADE_ALL: Declared = switch(
    "masquerade-all",
    "With --manifests: nodes hide who connects to services behind their own addresses, as kube-proxy's flag of this name \
     has it (an agent says so itself)",
);

/// Of `policy explain`.
pub const EXPLAIN: &[Group] = &[
    Group {
        heading: "Question",
        flags: &[
            text("from", "END", "Who connects"),
            text("to", "END", "To whom"),
            text("port", "PORT", "The port that is connected to; none for ICMP"),
            text("protocol", "PROTOCOL", "TCP, UDP, SCTP, ICMP, ICMPv6 [default: TCP]")
                .choices(&["TCP", "UDP", "SCTP", "ICMP", "ICMPv6"]),
            text("uuid", "UUID", "Instead: why this flow, which the server remembers, was judged as it was"),
            text("probes", "FILE", "Answer every line of this file of probes instead (-: of stdin)"),
        ],
    },
    Group {
        heading: "Options",
        flags: &[
            MANIFESTS,
            MASQUERADE_ALL,
            text("output", "FORMAT", "text, json [default: text]").short('o').choices(&["text", "json"]),
        ],
    },
];

/// Of `policy test`.
pub const TEST: &[Group] = &[Group {
    heading: "Options",
    flags: &[
        text(
            "manifests",
            "DIR",
            "Kubernetes YAML to answer from: a directory or a file (-: stdin); several are separated by commas",
        )
        .of(Kind::List),
        MASQUERADE_ALL,
        text("output", "FORMAT", "text, json, junit [default: text]")
            .short('o')
            .choices(&["text", "json", "junit"]),
        text("junit", "FILE", "Write the results to this file as well, as JUnit XML"),
    ],
}];

/// Of `policy simulate`.
pub const SIMULATE: &[Group] = &[
    Group {
        heading: "Change",
        flags: &[
            text(
                "file",
                "FILE",
                "New policies, which replace those of the same name: a directory or a file of YAML (-: stdin); several are \
                 separated by commas",
            )
            .short('f')
            .of(Kind::List),
            text("delete", "KIND/NAMESPACE/NAME", "A policy to take away, such as networkpolicy/shop/web")
                .of(Kind::List),
        ],
    },
    Group { heading: selectors::HEADING, flags: &selectors::PAST },
    Group { heading: "Filters: who", flags: &filters::PODS },
    Group { heading: "Filters: where", flags: &filters::ADDRESSES },
    Group { heading: "Filters: what", flags: &filters::EVENTS },
    Group { heading: "Filters: as the server takes them", flags: &filters::RAW },
    Group {
        heading: "Options",
        flags: &[
            MANIFESTS,
            MASQUERADE_ALL,
            text(
                "input-file",
                "FILE",
                "Replay the flows of this file of JSON lines, packed with gzip or zstd or not (-: of stdin) [default: what the server remembers]",
            ),
            text("output", "FORMAT", "text, json [default: text]").short('o').choices(&["text", "json"]),
        ],
    },
];
