//! What a lab creates is removed, whatever happens to its process, and nothing else is. Needs root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use palomar_lab::{Lab, LabError, PodSpec, STATE_DIR, Topology};

const PROGRAM: &str = env!("CARGO_BIN_EXE_palomar-lab");
const LONG: Duration = Duration::from_secs(10);

fn pods() -> Vec<PodSpec> {
    vec![PodSpec::new("np-demo", "web"), PodSpec::new("np-demo", "other")]
}

/// The lab's traces: its namespaces, files, and interfaces in the host's namespace.
fn traces(name: &str) -> Vec<String> {
    let entries =
        |dir: &str| fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let named = |dir: &str, start: String| {
        let names = entries(dir).map(|name| name.to_string_lossy().into_owned());
        names.filter(move |name| name.starts_with(&start)).collect::<Vec<_>>()
    };
    [
        named("/run/netns", format!("plm-{name}-")),
        named(STATE_DIR, format!("{name}.")),
        named("/sys/fs/bpf", format!("plm-{name}")),
    ]
    .concat()
}

/// The interfaces of the host's own namespace.
fn links() -> Vec<String> {
    let output = Command::new("ip").args(["-o", "link"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split(": ").nth(1).map(str::to_owned)).collect()
}

fn is_running(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn run(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).output().unwrap()
}

/// Starts `palomar-lab up`, and returns once it says that it is up.
fn up(name: &str) -> Child {
    let mut child =
        Command::new(PROGRAM).args(["up", name, "--serve", "80"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("Ctrl-C")), "it has ended early");
    child
}

fn signal(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn nothing_is_left_of_a_lab_that_is_dropped() {
    let (links_before, name) = (links(), "labtdrop");
    for topology in [Topology::Routed, Topology::Bridge] {
        let lab = Lab::new(name, topology, pods()).unwrap();
        let sleeper = lab.node().command("sleep").arg("1000").spawn().unwrap();
        fs::write(lab.files_dir().unwrap().join("file"), "").unwrap();
        fs::create_dir(lab.bpf_dir().unwrap().join("maps")).unwrap();
        assert_eq!(traces(name).len(), 4 + 3 + 1, "{:?}", traces(name));
        drop(lab);
        assert_eq!(traces(name), [""; 0]);
        assert!(!sleeper.is_running());
    }
    assert_eq!(links(), links_before);
}

#[test]
fn a_lab_that_cannot_be_built_leaves_nothing() {
    let name = "labtbad";
    let twice = [pods(), pods()].concat();
    assert!(matches!(Lab::new(name, Topology::Routed, twice), Err(LabError::DuplicatePod(_))));
    let unusable = vec![PodSpec::new("a", "b").address(std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1))];
    let error = Lab::new(name, Topology::Routed, unusable).unwrap_err();
    assert!(matches!(&error, LabError::Ip { line, .. } if line.contains("ff02::1")), "{error}");
    assert_eq!(traces(name), [""; 0]);
}

#[test]
fn down_removes_what_a_killed_run_has_left() {
    let name = "labtkill";
    let mut child = up(name);
    let busy = run(&["down", name]);
    assert!(!busy.status.success() && String::from_utf8_lossy(&busy.stderr).contains("in use"), "{busy:?}");
    let servers = palomar_lab::list().unwrap().into_iter().find(|lab| lab.name == name).unwrap().processes;
    assert!(servers.len() == 3 && servers.iter().all(|pid| is_running(*pid)), "{servers:?}");

    signal(&child, "-KILL");
    child.wait().unwrap();
    assert!(servers.iter().all(|pid| is_running(*pid)), "the servers should have outlived it");
    assert!(run(&["down", name]).status.success());
    assert_eq!(traces(name), [""; 0]);
    wait_until("the servers still run", || !servers.iter().any(|pid| is_running(*pid)));
    assert!(String::from_utf8_lossy(&run(&["down", name]).stdout).contains("nothing there"));
}

#[test]
fn the_next_run_removes_what_a_killed_run_has_left() {
    let name = "labtagain";
    let mut child = up(name);
    signal(&child, "-KILL");
    child.wait().unwrap();
    let lab = Lab::new(name, Topology::Bridge, pods()).unwrap();
    assert!(!traces(name).iter().any(|trace| trace.contains("pod-0")), "{:?}", traces(name));
    drop(lab);
    assert_eq!(traces(name), [""; 0]);
}

#[test]
fn an_interrupted_run_removes_its_lab() {
    for how in ["-INT", "-TERM"] {
        let mut child = up("labtint");
        signal(&child, how);
        assert!(child.wait().unwrap().success());
        assert_eq!(traces("labtint"), [""; 0], "{how}");
    }
}

#[test]
fn what_a_lab_did_not_create_stays() {
    let foreign = "plm-labtforeign-not-ours";
    let ip = |verb: &str| Command::new("ip").args(["netns", verb, foreign]).status().unwrap().success();
    assert!(ip("add"));
    let mut bystander = Command::new("sleep").arg("1000").spawn().unwrap();
    let lab = Lab::new("labtforeign", Topology::Routed, pods()).unwrap();
    // a record that names a number which has become another's: the start time differs
    let record = Path::new(STATE_DIR).join("labtforeign.json");
    lab.keep().unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    json["processes"] = serde_json::json!([{ "pid": bystander.id(), "start_ticks": 1 }]);
    fs::write(&record, json.to_string()).unwrap();
    assert!(palomar_lab::down("labtforeign").unwrap());
    let survived = is_running(bystander.id());
    bystander.kill().unwrap();
    bystander.wait().unwrap();
    assert!(survived, "a process that only has the number of ours was killed");
    assert_eq!(traces("labtforeign"), [foreign]);
    assert!(ip("del"));
}

#[test]
fn a_kept_lab_stays_until_down() {
    let name = "labtkeep";
    let lab = Lab::new(name, Topology::Routed, pods()).unwrap();
    let web = lab.pod("np-demo/web").unwrap().clone();
    let server = web.command(PROGRAM).args(["serve", "--port", "80", "--body", "kept"]).spawn().unwrap();
    let url = web.url(80);
    wait_until("the server does not answer", || web.get(&url).is_ok());
    lab.keep().unwrap();
    assert!(matches!(web.command("true").spawn(), Err(LabError::Closed(_))));
    assert_eq!(web.get(&url).as_deref(), Ok("kept\n"));
    assert!(palomar_lab::down(name).unwrap());
    assert!(!server.is_running());
    assert_eq!(traces(name), [""; 0]);
}

#[test]
fn two_labs_at_once_do_not_meet() {
    let first = Lab::new("labtfirst", Topology::Bridge, pods()).unwrap();
    let second = Lab::new("labtsecond", Topology::Routed, pods()).unwrap();
    assert!(matches!(Lab::new("labtfirst", Topology::Routed, pods()), Err(LabError::InUse { .. })));
    let web = |lab: &Lab| lab.pod("np-demo/web").unwrap().clone();
    // the same addresses, and yet only one of them serves
    assert_eq!(web(&first).addresses(), web(&second).addresses());
    let _server = web(&first).serve_http(80).unwrap();
    let ask = |lab: &Lab| lab.pod("np-demo/other").unwrap().get(&web(lab).url(80));
    assert_eq!(ask(&first).as_deref(), Ok("web\n"));
    assert!(ask(&second).is_err());
    drop(second);
    assert_eq!(ask(&first).as_deref(), Ok("web\n"));
}

/// A directory with a program in it that stands for the agent or the client.
fn program(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("program");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    (dir, path)
}

#[test]
fn the_demo_fails_and_cleans_up_when_the_agent_ends() {
    let (_dir, dies) = program("echo it cannot load >&2; exit 1");
    let path = dies.to_str().unwrap();
    let output = run(&["demo", "--name", "labtdies", "--agent", path, "--palomar", path]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && text.contains("the agent has ended"), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("it cannot load"),
        "the log is not shown: {output:?}"
    );
    assert_eq!(traces("labtdies"), [""; 0]);
}

#[test]
fn the_demo_cleans_up_when_interrupted() {
    let (_dir, sleeps) = program("test \"$1\" = endpoint && exit 1; exec sleep 1000");
    let path = sleeps.to_str().unwrap();
    let args = ["demo", "--name", "labtdemoint", "--agent", path, "--palomar", path, "--keep"];
    let child = Command::new(PROGRAM).args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let processes = || {
        let labs = palomar_lab::list().unwrap_or_default();
        labs.into_iter().find(|lab| lab.name == "labtdemoint").map_or(Vec::new(), |lab| lab.processes)
    };
    wait_until("web and the agent do not start", || processes().len() == 2);
    let started = processes();
    signal(&child, "-INT");
    let mut child = child;
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(traces("labtdemoint"), [""; 0]);
    assert!(!started.iter().any(|pid| is_running(*pid)));
}

#[test]
fn the_demo_fails_when_an_outcome_differs() {
    // an agent that tells of policies and enforces none
    let endpoint = |pod: &str| {
        format!(
            r#"{{"namespace":"np-demo","pod_name":"{pod}","ingress":{{"attach_error":""}},"egress":{{"attach_error":""}},
            "addresses":[],"ingress_isolated":true,"ingress_policies":["default-deny"]}}"#
        )
    };
    let list = format!(r#"{{"endpoints":[{}]}}"#, ["web", "frontend", "other"].map(endpoint).join(","));
    let (_dir, fake) =
        program(&format!("if test \"$1\" = endpoint; then echo '{list}'; else exec sleep 1000; fi"));
    let path = fake.to_str().unwrap();
    let output = run(&["demo", "--name", "labtdiffers", "--agent", path, "--palomar", path]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text.contains("frontend has seen Web, expected Timeout"), "{text}");
    assert_eq!(traces("labtdiffers"), [""; 0]);
}
