//! How soon a policy that no longer allows an open connection cuts it: from the moment its file is in place to the last
//! packet that came back.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use palomar_lab::traffic::Connection;

use super::agent::{Agent, Mode};
use super::figures::Figures;
use super::policy;
use super::site::{Site, pod};
use super::table::Table;
use crate::args::BenchArgs;
use crate::interrupt::Interrupt;

const PORT: u16 = 7000;
const CONNECT: Duration = Duration::from_millis(200);
/// By then a policy is in force.
const OPEN: Duration = Duration::from_secs(30);
/// An answer that has not come by then does not come.
const SILENCE: Duration = Duration::from_millis(500);
/// After this a large world is in force.
const SETTLE: Duration = Duration::from_secs(5);

const NAMESPACES: u32 = 50;
const PODS_OF_NAMESPACE: u32 = 200;
const POLICIES_OF_NAMESPACE: u32 = 40;

/// Measures and prints.
pub fn run(args: &BenchArgs, interrupt: &Interrupt) -> anyhow::Result<()> {
    println!("## An open connection under a policy that closes it");
    println!("From the file's renaming to the last answer, in milliseconds; {} rounds.\n", args.rounds);
    let site = Site::build(args, interrupt, vec![pod("client"), pod("server")])?;
    let agent = Agent::start(&site, Mode::Enforce, None)?;
    let _server = site.pod("server")?.serve_echo(PORT)?;
    let mut table = Table::new(&["policies", "pods elsewhere", "ms"]);
    let milliseconds = |value: f64| format!("{value:.1}");
    let figures = measure(&site, &agent, args.rounds)?;
    table.row(vec!["2".to_owned(), "0".to_owned(), figures.spread(milliseconds)]);
    for namespace in 0..NAMESPACES {
        agent.apply(&format!("team-{namespace}.yaml"), &objects_of(namespace))?;
    }
    std::thread::sleep(SETTLE);
    let figures = measure(&site, &agent, args.rounds)?;
    let [policies, pods] = [POLICIES_OF_NAMESPACE, PODS_OF_NAMESPACE].map(|each| NAMESPACES * each);
    table.row(vec![(policies + 2).to_string(), pods.to_string(), figures.spread(milliseconds)]);
    table.print();
    agent.remove()?;
    site.remove()
}

fn measure(site: &Site<'_>, agent: &Agent<'_>, rounds: u32) -> anyhow::Result<Figures> {
    let (file, allowing) = policy::FILE;
    let denying = allowing.replace(
        "from: [{podSelector: {matchLabels: {role: client}}}]",
        "from: [{podSelector: {matchLabels: {role: nobody}}}]",
    );
    ensure!(denying != allowing, "the policy of the bench has another form");
    let mut figures = Figures::default();
    for _ in 0..rounds {
        agent.apply(file, allowing)?;
        let mut connection = open(site)?;
        agent.apply(file, &denying)?;
        let began = Instant::now();
        let mut last = began;
        while connection.ping(SILENCE).is_ok() {
            last = Instant::now();
            site.interrupt.check()?;
            ensure!(last - began < OPEN, "the connection is not cut");
        }
        figures.push((last - began).as_secs_f64() * 1e3);
    }
    Ok(figures)
}

/// A connection that carries something, once that is allowed.
fn open(site: &Site<'_>) -> anyhow::Result<Connection> {
    let (client, server) = (site.pod("client")?, site.pod("server")?);
    let server = SocketAddr::new(server.v4()?, PORT);
    let opened = site.interrupt.poll(OPEN, || {
        let connection = client.connect(server, CONNECT).ok();
        Ok(connection.and_then(|mut connection| connection.ping(CONNECT).is_ok().then_some(connection)))
    })?;
    opened.context("what is allowed does not pass")
}

/// A namespace of another team: pods on another node, and policies among them.
fn objects_of(namespace: u32) -> String {
    let mut text = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: team-{namespace}}}\n");
    for pod in 0..PODS_OF_NAMESPACE {
        let address = format!("10.{}.{}.{}", 100 + namespace, pod / 100, 1 + pod % 100);
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Pod\n\
             metadata: {{namespace: team-{namespace}, name: pod-{pod}, labels: {{app: app-{}}}}}\n\
             spec: {{nodeName: elsewhere, containers: [{{name: c, image: none}}]}}\n\
             status: {{phase: Running, podIP: {address}, podIPs: [{{ip: {address}}}]}}\n",
            pod % POLICIES_OF_NAMESPACE
        );
    }
    for number in 0..POLICIES_OF_NAMESPACE {
        let peer = (number + 1) % POLICIES_OF_NAMESPACE;
        let _ = write!(
            text,
            "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
             metadata: {{namespace: team-{namespace}, name: policy-{number}}}\n\
             spec: {{podSelector: {{matchLabels: {{app: app-{number}}}}}, ingress: [{{from: [{{podSelector: \
             {{matchLabels: {{app: app-{peer}}}}}}}], ports: [{{port: 8080}}]}}]}}\n"
        );
    }
    text
}
