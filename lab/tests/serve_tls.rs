//! The agent's TCP port as a client on the node sees it. Needs root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use palomar_lab::{Lab, Output, PodSpec, Topology};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use support::{Agent, Options, PATIENCE, binary};

/// Writes an authority, and a certificate of it with its key, in PEM.
fn certificates(dir: &Path, name: &str) -> [PathBuf; 3] {
    let file = |kind: &str| dir.join(format!("{name}.{kind}"));
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    fs::write(file("ca"), authority.pem()).unwrap();
    fs::write(file("crt"), certificate.pem()).unwrap();
    fs::write(file("key"), key.serialize_pem()).unwrap();
    [file("ca"), file("crt"), file("key")]
}

/// Runs `palomar status` against the port.
fn status(agent: &Agent, args: &[&str]) -> Output {
    let command = agent.node.command(binary("palomar")).args(["status", "--server", "127.0.0.1:4244"]);
    command.args(args.iter().copied()).output(PATIENCE).unwrap()
}

#[test]
fn the_cli_reaches_the_port_with_its_certificates_and_not_without() {
    let lab = Lab::new("tlsport", Topology::Routed, vec![PodSpec::new("np-demo", "web")]).unwrap();
    let dir = lab.files_dir().unwrap();
    let [ca, certificate, key] = certificates(&dir, "server").map(|path| path.to_str().unwrap().to_owned());
    let [client_ca, client, client_key] =
        certificates(&dir, "client").map(|path| path.to_str().unwrap().to_owned());
    let options = [
        ["--listen", "127.0.0.1:4244"],
        ["--tls-cert-file", &certificate],
        ["--tls-key-file", &key],
        ["--tls-client-ca-files", &client_ca],
    ]
    .iter()
    .flatten()
    .fold(Options::mode("audit"), |options, arg| options.arg(*arg));
    let mut agent = Agent::start(&lab, options);

    let known = ["--tls-client-cert-file", &client, "--tls-client-key-file", &client_key];
    let trusting = ["--tls", "--tls-ca-cert-files", &ca];
    for (name, args, is_served) in [
        ("a client with a certificate", [&trusting[..], &known].concat(), true),
        ("a client without", trusting.to_vec(), false),
        (
            "a client that trusts another",
            [&["--tls", "--tls-ca-cert-files", &client_ca][..], &known].concat(),
            false,
        ),
        ("clear text", Vec::new(), false),
    ] {
        let output = status(&agent, &args);
        assert_eq!(output.status.success(), is_served, "{name}: {}\n{}", output.stderr, agent.log());
    }
    agent.wait_for_log("did not get through the TLS handshake");

    // the stream of peers has no end of its own
    let watch =
        agent.node.command("timeout").args(["2", binary("palomar").to_str().unwrap(), "watch", "peers"]);
    let watch = watch.args(["--server", &format!("unix://{}", agent.socket.display())]);
    let server_name = format!("{}.default.hubble-grpc.cilium.io", agent.node_name.replace('.', "-"));
    let peer = format!("PEER_ADDED   127.0.0.1:4244 {} (TLS.ServerName: {server_name})\n", agent.node_name);
    assert_eq!(watch.output(PATIENCE).unwrap().stdout, peer);

    fs::write(&certificate, "broken").unwrap();
    let args = [&trusting[..], &known].concat();
    assert!(status(&agent, &args).status.success(), "the last good certificate stays");
    agent.wait_for_log("the last good certificate stays in use");
    assert!(agent.log().contains(&certificate), "{}", agent.log());
    certificates(&dir, "server");
    assert!(status(&agent, &args).status.success());
    agent.wait_for_log("new clients see the new certificate");
    assert!(agent.palomar(&["status"]).contains("Ok"), "the socket is as ever");
    assert!(agent.terminate().success());
}
