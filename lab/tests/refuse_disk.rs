//! A state directory whose disk is full. Needs root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use palomar_lab::{PodSpec, Topology};
use support::{Agent, Options, connect, echo, np_demo, wait_or};

/// A small disk, until it is dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: PathBuf) -> Self {
        fs::create_dir_all(&path).unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=128k", "palomar-lab"];
        assert!(Command::new("mount").args(mount).arg(&path).status().unwrap().success());
        Self(path)
    }

    /// Takes all the space that is left.
    fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.0.join("filler")).unwrap();
        while file.write_all(&[b'x'; 256]).is_ok() {}
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // an agent that still runs may have files open there
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn on_a_full_disk_identities_are_given_all_the_same_and_written_once_there_is_space() {
    let mut lab = np_demo("brdisk", Topology::Routed);
    let mut agent = Agent::prepare(&lab, Options::mode("enforce"));
    let disk = Disk::mount(agent.state.clone());
    agent.start_again();
    let identity = |agent: &Agent, pod: &str| {
        agent.wait_for_endpoint(pod, "known", |e| e["identity"].as_u64() >= Some(256))["identity"]
            .as_u64()
            .unwrap()
    };
    let web = identity(&agent, "np-demo/web");
    disk.fill();

    lab.add_pods(vec![PodSpec::new("np-demo", "late").label("role", "late")]).unwrap();
    lab.write_manifests(&agent.manifests).unwrap();
    let late = identity(&agent, "np-demo/late");
    assert_ne!(late, web);
    agent.wait_for_log("cannot keep state");
    assert!(agent.log().contains("No space left"), "{}", agent.log());
    let labels = agent.palomar(&["identity", "get", &late.to_string()]);
    assert!(labels.contains("k8s:role=late"), "{labels}");
    assert!(agent.is_running());

    let kept = |number: u64| {
        let files = fs::read_dir(&agent.state).unwrap().flatten();
        files
            .filter(|file| file.file_name().to_string_lossy().starts_with("identit"))
            .any(|file| fs::read_to_string(file.path()).unwrap_or_default().contains(&number.to_string()))
    };
    assert!(!kept(late), "the disk was not full");
    disk.empty();
    wait_or(|| kept(late).then_some(()), || agent.log());
    agent.wait_for_log("state is kept again");
    agent.restart();
    assert_eq!((identity(&agent, "np-demo/web"), identity(&agent, "np-demo/late")), (web, late));

    // and with no space at the start, it starts
    assert!(agent.terminate().success());
    disk.fill();
    agent.start_again();
    assert_eq!((identity(&agent, "np-demo/web"), identity(&agent, "np-demo/late")), (web, late));
    assert!(agent.terminate().success(), "{}", agent.log());
}

#[test]
fn flows_that_a_full_disk_does_not_take_leave_what_was_saved_before() {
    let lab = np_demo("brfull", Topology::Routed);
    let mut agent = Agent::prepare(&lab, Options::mode("audit"));
    let disk = Disk::mount(agent.state.clone());
    agent.start_again();
    let [web, frontend] = ["web", "frontend"].map(|pod| lab.pod(&format!("np-demo/{pod}")).unwrap());
    agent.wait_for_endpoint("np-demo/web", "known", |e| e["is_pod"] == true);
    let _servers = echo(web);
    let visit = |agent: &Agent| {
        let (_connection, port) = connect(frontend, web).unwrap();
        let port = port.to_string();
        agent.wait_for_flows("the connection", &["--port", &port], |flows| (!flows.is_empty()).then_some(()));
        port
    };
    let first = visit(&agent);
    agent.restart();
    let second = visit(&agent);
    let files = |agent: &Agent| {
        let files = fs::read_dir(&agent.state).unwrap().flatten();
        let files = files.filter(|file| !file.file_name().to_string_lossy().starts_with("losses.json"));
        let files = files.map(|file| (file.file_name(), fs::read(file.path()).unwrap()));
        files.filter(|(name, _)| name != "filler").collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = files(&agent);
    disk.fill();

    assert!(agent.terminate().success(), "{}", agent.log());
    let log = agent.log();
    assert!(log.contains("cannot save the flows") && log.contains("No space left"), "{log}");
    assert_eq!(files(&agent), before, "all is as it was, and nothing was left behind");

    // still without space, the next one starts with what was saved before, and tells what is missing
    agent.start_again();
    assert!(!agent.flows(&["--port", &first]).is_empty());
    assert!(agent.flows(&["--port", &second]).is_empty());
    let status = agent.palomar(&["status"]);
    assert!(status.contains("flows that an agent saw were not saved"), "{status}");
    disk.empty();
    agent.restart();
    assert!(!agent.flows(&["--port", &first]).is_empty());
    assert!(agent.terminate().success(), "{}", agent.log());
}
