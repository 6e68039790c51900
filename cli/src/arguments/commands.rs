//! All commands with their flags. `Command::find` and the two look-ups of flags are all that splitting a line needs;
//! the help is made from the same table.

use super::declare::{Declared, switch, text};
use super::{connection, connections, filters, formatting, policy, selectors};

/// A command.
#[derive(Debug)]
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// Its other names.
    pub aliases: &'static [&'static str],
    /// What it does, in a line.
    pub about: &'static str,
    /// How it is called, where that cannot be seen from the rest.
    pub usage: Option<&'static str>,
    /// What stands below its help; empty for nothing.
    pub more: &'static str,
    /// Whether it is left out of the help.
    pub hidden: bool,
    /// Flags of its own.
    pub flags: &'static [Group],
    /// Flags of it and of every command below.
    pub shared: &'static [Group],
    /// What becomes of words that are no flags.
    pub words: Words,
    /// The commands below it.
    pub commands: &'static [Command],
}

/// Flags with a heading in the help.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// The heading.
    pub heading: &'static str,
    /// The flags.
    pub flags: &'static [Declared],
}

/// What becomes of words behind a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// They are overlooked, as in Hubble's CLI.
    Ignored,
    /// They are refused.
    None,
    /// The command takes one; its name in the help, and what to say of it.
    One(&'static str, &'static str),
    /// The command takes them, and says itself how many.
    Some(&'static str, &'static str),
}

const HELP: Group = Group { heading: "Options", flags: &[switch("help", "Print this help").short('h')] };

const COMMAND: Command = Command {
    name: "",
    aliases: &[],
    about: "",
    usage: None,
    more: "",
    hidden: false,
    flags: &[],
    shared: &[],
    words: Words::Ignored,
    commands: &[],
};

/// The program itself.
pub static ROOT: Command = Command {
    name: "palomar",
    about: "Watch the flows of pods, and who may speak to whom",
    flags: &[Group { heading: "Options", flags: &[switch("version", "Print the version").short('v')] }],
    shared: &[Group { heading: connection::HEADING, flags: &connection::FLAGS }, HELP],
    commands: &[
        OBSERVE,
        STATUS,
        IDENTITY,
        ENDPOINT,
        CONNECTIONS,
        LIST,
        POLICY,
        WATCH,
        REFLECT,
        CONFIG,
        COMPLETION,
        MAN,
        Command { name: "version", about: "Print the version", ..COMMAND },
        Command {
            name: "help",
            about: "Print the help of a command",
            words: Words::Some("COMMAND", "The command"),
            ..COMMAND
        },
    ],
    ..COMMAND
};

const SELECTORS: Group = Group { heading: selectors::HEADING, flags: &selectors::FLAGS };

const OBSERVE: Command = Command {
    name: "observe",
    about: "Print flows",
    usage: Some("palomar observe [flows | agent-events | debug-events] [FLAGS]"),
    more: "Repeated flags mean any of their values; different flags must all match. The last 20 flows are printed if \
           neither a number, a time nor --follow is given.",
    flags: FLOW_FLAGS,
    commands: &[
        Command { name: "flows", about: "Print flows, as observe alone", flags: FLOW_FLAGS, ..COMMAND },
        Command {
            name: "agent-events",
            about: "Print what an agent did: policies, endpoints, addresses",
            flags: EVENT_FLAGS,
            ..COMMAND
        },
        Command {
            name: "debug-events",
            about: "Print debug messages of an agent's datapath",
            flags: EVENT_FLAGS,
            ..COMMAND
        },
    ],
    ..COMMAND
};

const FLOW_FLAGS: &[Group] = &[
    SELECTORS,
    Group { heading: "Filters: who", flags: &filters::PODS },
    Group { heading: "Filters: where", flags: &filters::ADDRESSES },
    Group { heading: "Filters: what", flags: &filters::EVENTS },
    Group { heading: "Filters: as the server takes them", flags: &filters::RAW },
    Group { heading: formatting::HEADING, flags: &formatting::FLOWS },
];

const EVENT_FLAGS: &[Group] =
    &[SELECTORS, Group { heading: formatting::HEADING, flags: &formatting::EVENTS }];

const STATUS: Command = Command {
    name: "status",
    about: "Tell whether the server is well, how much it remembers and what it lost",
    flags: &[Group {
        heading: "Options",
        flags: &[text(
            "output",
            "FORMAT",
            "compact, dict, table (or tab), json (or jsonpb) [default: compact]",
        )
        .short('o')
        .choices(&["compact", "dict", "json", "table"])],
    }],
    ..COMMAND
};

const IDENTITY: Command = Command {
    name: "identity",
    about: "Identities: the numbers that stand for sets of labels",
    words: Words::None,
    commands: &[
        Command {
            name: "get",
            about: "Print the labels behind an identity",
            flags: TABLE_OR_JSON,
            words: Words::One("IDENTITY", "A number, or a reserved name such as world"),
            ..COMMAND
        },
        Command {
            name: "list",
            about: "Print all identities that the agent knows",
            flags: TABLE_OR_JSON,
            words: Words::None,
            ..COMMAND
        },
    ],
    ..COMMAND
};

const ENDPOINT: Command = Command {
    name: "endpoint",
    about: "Endpoints: the pods of one node, as its agent sees them",
    words: Words::None,
    commands: &[Command {
        name: "list",
        about: "Print every pod of the agent's node: how it is watched, or why it cannot be seen",
        flags: TABLE_OR_JSON,
        words: Words::None,
        ..COMMAND
    }],
    ..COMMAND
};

const CONNECTIONS: Command = Command {
    name: "connections",
    about: "Print the live connections of the pods of the agent's node",
    more: "FROM is the end that began the connection; where that is not known, filters match it either way round. One \
           between two pods of the node is printed once, as its source sees it. NOTES tell where a packet did not \
           arrive at its destination, though that is a pod of the node, and where policy audits or denies.",
    flags: &[
        Group { heading: "Filters: who", flags: &filters::PODS },
        Group { heading: "Filters: where", flags: &connections::ADDRESSES },
        Group { heading: "Filters: what", flags: &connections::STATES },
        Group { heading: formatting::HEADING, flags: &connections::OUTPUT },
    ],
    words: Words::None,
    ..COMMAND
};

const LIST: Command = Command {
    name: "list",
    about: "Print nodes or namespaces",
    commands: &[
        Command {
            name: "nodes",
            aliases: &["node"],
            about: "Print the nodes that a relay knows",
            flags: TABLE_WIDE_OR_JSON,
            ..COMMAND
        },
        Command {
            name: "namespaces",
            about: "Print the namespaces of recent flows",
            flags: TABLE_WIDE_OR_JSON,
            ..COMMAND
        },
    ],
    ..COMMAND
};

const POLICY: Command = Command {
    name: "policy",
    about: "Policies: what they allow, and why",
    words: Words::None,
    commands: &[
        Command {
            name: "explain",
            about: "Tell whether one end may connect to the other, which rule decides, and why every other does not",
            usage: Some("palomar policy explain [--manifests DIR] --from END --to END --port N [FLAGS]"),
            more: "An END is namespace/pod, namespace/service, pod/namespace/name, svc/namespace/name, or an IP address. \
                   A probe is one line of JSON, {\"from\":END,\"to\":END,\"port\":N,\"protocol\":\"TCP\"}, and is answered by \
                   one. The verdict is allowed, denied, or undecidable with the fact that is missing. A flow is explained by what was in force when it was: where \
                   the agent has since taken a change that concerns it, the answer is that it cannot be known. The exit code is 0 \
                   whatever the verdict is; \"policy test\" has one for verdicts that are not as wanted.",
            flags: policy::EXPLAIN,
            words: Words::None,
            ..COMMAND
        },
        Command {
            name: "test",
            about: "Check what a team expects of its policies; exit code 3 if something does not hold",
            usage: Some("palomar policy test FILE --manifests DIR [FLAGS]"),
            more: "FILE is YAML, a list of expectations such as\n\
                   - {from: shop/front, to: shop/web, port: 8080, expect: allowed}\n\
                   with name and protocol (TCP, if it is left out) as further fields; expect is allowed, denied or \
                   undecidable.",
            flags: policy::TEST,
            words: Words::One("FILE", "The expectations (-: of stdin)"),
            ..COMMAND
        },
        Command {
            name: "list",
            about: "Print what the agent enforces for each pod of its node: every rule, by direction",
            more: ENFORCED,
            flags: TABLE_OR_JSON,
            words: Words::None,
            ..COMMAND
        },
        Command {
            name: "get",
            about: "Print what the agent enforces for one pod of its node; or one policy: its rules, the pods that it \
                    selects, and where the kernel holds it",
            usage: Some("palomar policy get [pod/ | networkpolicy/]NAMESPACE/NAME [FLAGS]"),
            more: ENFORCED,
            flags: TABLE_OR_JSON,
            words: Words::One(
                "NAME",
                "The pod or the policy, as namespace/name or as its name alone; where both have the name, as \
                 pod/namespace/name or networkpolicy/namespace/name (netpol/…)",
            ),
            ..COMMAND
        },
        Command {
            name: "simulate",
            about: "Tell which recorded flows would have another verdict under changed policies; exit code 3 if \
                    something allowed would be denied",
            usage: Some(
                "palomar policy simulate [--manifests DIR] [--file FILE] [--delete KIND/NAMESPACE/NAME] [FLAGS]",
            ),
            more: "The policies of now are those of --manifests, which has to be there with --input-file. A flow is judged where it \
                   tells which end began its connection: by its SYN, by connection tracking, or, if it is not TCP, by a \
                   verdict of policy. Later packets of the end that began count as well, because an agent judges a \
                   standing connection again when policies change; replies go with their connection. What cannot be \
                   judged is counted with the fact that is missing: a pod that the manifests do not have or have with \
                   another address, a node's address that may hide another end, a connection found in its middle.",
            flags: policy::SIMULATE,
            words: Words::None,
            ..COMMAND
        },
    ],
    ..COMMAND
};

const ENFORCED: &str = "PEERS are those that a rule lets in, or out. A direction that no policy isolates is open to any; \
                        one that is isolated is open to none but what its rules allow. MODE tells what becomes of the rest. \
                        ALLOWED is how many new connections a rule allowed, and DENIED what a policy denied while it isolated, \
                        at the pods of this node since the agent began. The PODS of a rule of one policy are those that its \
                        peers select, of all nodes; a SET is the number under which the kernel holds the rules of \
                        pods that the same policies select.";

const WATCH: Command = Command {
    name: "watch",
    aliases: &["w"],
    about: "Watch what changes",
    hidden: true,
    commands: &[Command {
        name: "peers",
        aliases: &["peer"],
        about: "Print the peers that a server knows, and every change of them, until interrupted",
        ..COMMAND
    }],
    ..COMMAND
};

const REFLECT: Command = Command {
    name: "reflect",
    about: "Print the definitions of a server's services, as it tells them by gRPC reflection",
    hidden: true,
    ..COMMAND
};

const CONFIG: Command = Command {
    name: "config",
    about: "Print and change the settings of connections",
    more: "A setting is a connection flag. It is taken from the command line, else from PALOMAR_… in the environment \
           (--tls-server-name: PALOMAR_TLS_SERVER_NAME), else from HUBBLE_…, else from ./config.yaml, else from \
           Palomar's own config file, else from Hubble's, else it has its default. --config, or PALOMAR_CONFIG or \
           HUBBLE_CONFIG, names one file to read instead of these.",
    commands: &[
        Command { name: "view", about: "Print all settings as they are in force", ..COMMAND },
        Command {
            name: "get",
            about: "Print one setting as it is in force",
            words: Words::Some("KEY", "The setting; all, if none is named"),
            ..COMMAND
        },
        Command {
            name: "set",
            about: "Write a setting to the config file",
            usage: Some("palomar config set KEY [VALUE]"),
            words: Words::Some("KEY", "The setting, and its value; without a value, as reset"),
            ..COMMAND
        },
        Command {
            name: "reset",
            about: "Give a setting its default again",
            words: Words::Some("KEY", "The setting; all, if none is named"),
            ..COMMAND
        },
    ],
    ..COMMAND
};

const COMPLETION: Command = Command {
    name: "completion",
    about: "Print a shell's completions for palomar",
    more: "bash: source <(palomar completion bash)\n\
           zsh:  palomar completion zsh > \"${fpath[1]}/_palomar\"\n\
           fish: palomar completion fish > ~/.config/fish/completions/palomar.fish",
    words: Words::Some("SHELL", "bash, zsh, fish, powershell, elvish"),
    ..COMMAND
};

const MAN: Command = Command {
    name: "man",
    about: "Print the manual page of palomar, or of a command: palomar man observe | man -l -",
    hidden: true,
    words: Words::Some("COMMAND", "The command"),
    ..COMMAND
};

const TABLE_OR_JSON: &[Group] = &[Group {
    heading: "Options",
    flags: &[text("output", "FORMAT", "table, json [default: table]").short('o').choices(&["table", "json"])],
}];

const TABLE_WIDE_OR_JSON: &[Group] = &[Group {
    heading: "Options",
    flags: &[text("output", "FORMAT", "table, wide, json [default: table]")
        .short('o')
        .choices(&["table", "wide", "json"])],
}];

impl Command {
    /// The command below it with that name.
    pub fn find(&self, name: &str) -> Option<&'static Self> {
        self.commands.iter().find(|command| command.name == name || command.aliases.contains(&name))
    }

    /// A flag of `command`, or one that this root shares, by its long name.
    pub fn long(&self, command: &Self, name: &str) -> Option<&'static Declared> {
        self.flag(command, |flag| flag.long == name)
    }

    /// The same by a short name.
    pub fn short(&self, command: &Self, name: char) -> Option<&'static Declared> {
        self.flag(command, |flag| flag.short == Some(name))
    }

    fn flag(&self, command: &Self, wanted: impl Fn(&Declared) -> bool) -> Option<&'static Declared> {
        let groups = command.flags.iter().chain(self.shared);
        groups.flat_map(|group| group.flags).find(|flag| wanted(flag))
    }
}
