//! `--port-forward`, which needs the Kubernetes API.

use crate::arguments::{Given, UsageError};

/// The port of the relay's service without and with TLS.
const PORTS: (u16, u16) = (80, 443);

/// The command that does what `--port-forward` does in Hubble; `None`: it was not asked for.
pub fn instead(given: &Given, with_tls: bool) -> Result<Option<String>, UsageError> {
    if !given.switch("port-forward")? {
        return Ok(None);
    }
    let text = |flag| given.text(flag).filter(|text| !text.is_empty());
    let option =
        |name: &str, value: Option<&str>| value.map_or_else(String::new, |value| format!(" {name} {value}"));
    let port = given.port("port-forward-port")?.unwrap_or(4245);
    let (local, server) = match port {
        0 => (String::new(), "localhost: and the port that it prints".to_owned()),
        port => (port.to_string(), format!("localhost:{port}")),
    };
    let command = format!(
        "kubectl{}{} -n {} port-forward service/hubble-relay {local}:{}",
        option("--kubeconfig", text("kubeconfig")),
        option("--context", text("kube-context")),
        text("kube-namespace").unwrap_or("kube-system"),
        if with_tls { PORTS.1 } else { PORTS.0 },
    );
    Ok(Some(format!(
        "--port-forward is not built, as it needs the Kubernetes API; run: {command}, and use --server {server}"
    )))
}
