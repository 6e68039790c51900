//! Flags of every command: the server, and how to speak of it. Each is a setting as well, which the environment and
//! the config files may have.

use super::declare::{Declared, Kind, switch, text};

/// Their heading in the help.
pub const HEADING: &str = "Connection";

/// The flags.
pub const FLAGS: [Declared; 18] = [
    text(
        "server",
        "ADDRESS",
        "unix:///path, host:port, or tls://host:port; else the local agent's socket if it is there, else \
         localhost:4245",
    ),
    text("timeout", "DURATION", "How long to wait for a connection [default: 5s]").of(Kind::Duration),
    text(
        "request-timeout",
        "DURATION",
        "How long to wait for an answer; streams have no limit [default: 12s]",
    )
    .of(Kind::Duration),
    switch("tls", "Speak TLS to the server"),
    switch(
        "tls-allow-insecure",
        "Take any certificate of the server: whoever is on the way can read and change all",
    ),
    text(
        "tls-ca-cert-files",
        "FILES",
        "Authorities that may vouch for the server, in PEM [default: the system's]",
    )
    .of(Kind::List),
    text("tls-client-cert-file", "FILE", "Certificate to show to the server, in PEM; implies --tls"),
    text("tls-client-key-file", "FILE", "Its private key"),
    text(
        "tls-server-name",
        "NAME",
        "The name that the server's certificate must have [default: that of --server]",
    ),
    text("basic-auth-username", "NAME", "User name for the server; needs TLS"),
    text("basic-auth-password", "PASSWORD", "Password for the server"),
    switch("port-forward", "Not built: prints the kubectl command that forwards the relay's port").short('P'),
    text("port-forward-port", "PORT", "The local port for that; 0: any [default: 4245]").of(Kind::Port),
    text("kube-namespace", "NAMESPACE", "The relay's namespace, for that [default: kube-system]"),
    text("kube-context", "CONTEXT", "The context of the cluster, for that"),
    text("kubeconfig", "FILE", "The file that has the context, for that"),
    text(
        "config",
        "FILE",
        "Read settings from this file only, and write them there; see: palomar config --help",
    ),
    switch("debug", "Tell on stderr what is sent, and every change of a relay's nodes").short('D'),
];
