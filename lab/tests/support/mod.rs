//! What the end-to-end tests share: a node with the np-demo pods, an agent on it, and the command line against it.

#![allow(dead_code, unused_imports, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod agent;
mod binaries;
mod flow_server;
mod flows;
mod kernel;
mod traffic;

pub use agent::{Agent, Options};
pub use binaries::binary;
pub use flow_server::FlowServer;
pub use flows::{field, is_dropped, is_reply, is_type, names_pod};
pub use kernel::{filters, qdiscs, tc};
pub use traffic::{Load, Probe, connect, echo};

use std::thread;
use std::time::{Duration, Instant};

use palomar_lab::{Lab, Topology, read_pods};

/// How long anything may take on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long a client waits before it calls a packet lost. Longer than the kernel takes to try a SYN again.
pub const LONG: Duration = Duration::from_secs(3);
/// How long a client waits for an answer that must not come.
pub const SHORT: Duration = Duration::from_millis(150);

/// The port that web serves in the stories of np-demo.
pub const PORT: u16 = 8080;
/// The three pods of np-demo: web (`app: web`), frontend (`role: frontend`) and other (`role: other`).
pub const PODS: &str = include_str!("../../../deploy/np-demo/10-pods.yaml");
/// Nobody may connect to web.
pub const DEFAULT_DENY: (&str, &str) =
    ("20-default-deny.yaml", include_str!("../../../deploy/np-demo/20-default-deny.yaml"));
/// frontend may connect to web, to TCP port 8080.
pub const ALLOW_FRONTEND: (&str, &str) =
    ("30-allow-frontend.yaml", include_str!("../../../deploy/np-demo/30-allow-frontend.yaml"));
/// frontend may connect to web's echo servers, over TCP and UDP.
pub const ALLOW_ECHO: (&str, &str) = (
    "30-allow-echo.yaml",
    "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: np-demo, name: allow-echo}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress:
    - from: [{podSelector: {matchLabels: {role: frontend}}}]
      ports: [{protocol: TCP, port: 8080}, {protocol: UDP, port: 8080}]
",
);
/// The namespace of the pods.
pub const NAMESPACE: (&str, &str) =
    ("00-namespace.yaml", include_str!("../../../deploy/np-demo/00-namespace.yaml"));

/// A node with the three pods of np-demo.
pub fn np_demo(name: &str, topology: Topology) -> Lab {
    Lab::new(name, topology, read_pods("10-pods.yaml", PODS).unwrap()).unwrap()
}

/// Asks again and again until there is an answer; panics with `what` where there is none in [`PATIENCE`].
pub fn wait_for<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    wait_or(ask, || what.to_owned())
}

/// Likewise; `why` is asked for the message when the patience ends.
pub fn wait_or<T>(mut ask: impl FnMut() -> Option<T>, why: impl FnOnce() -> String) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {} s: {}", PATIENCE.as_secs(), why());
        thread::sleep(Duration::from_millis(5));
    }
}
