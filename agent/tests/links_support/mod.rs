//! A node with pods: network namespaces and veths.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use palomar_agent::links::{Follower, Links};

/// A namespace of its own, which the test's thread is in.
pub struct Node {
    name: String,
    namespaces: RefCell<Vec<String>>,
}

impl Node {
    /// `name`: unique among the tests.
    pub fn new(name: &str) -> Self {
        let node = Self { name: format!("plm-loader-links-{name}"), namespaces: RefCell::default() };
        node.make(&node.name);
        let namespace = File::open(format!("/run/netns/{}", node.name)).unwrap();
        setns(namespace, CloneFlags::CLONE_NEWNET).expect("the tests need root");
        ip(&["link", "set", "lo", "up"]);
        node
    }

    /// A pod whose veth on the node is `name`; both ends are up.
    pub fn add_pod(&self, name: &str, addresses: &[&str]) {
        let namespace = self.add_namespace(name);
        ip(&["link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", &namespace]);
        for address in addresses {
            self.pod(name, &["addr", "add", address, "dev", "eth0"]);
        }
        self.pod(name, &["link", "set", "eth0", "up"]);
        ip(&["link", "set", name, "up"]);
    }

    /// A namespace for the pod `name`; gives its full name.
    pub fn add_namespace(&self, name: &str) -> String {
        let namespace = self.namespace(name);
        self.make(&namespace);
        namespace
    }

    /// Runs `ip` in a pod.
    pub fn pod(&self, name: &str, arguments: &[&str]) {
        let namespace = self.namespace(name);
        let mut all = vec!["-n", namespace.as_str()];
        all.extend_from_slice(arguments);
        ip(&all);
    }

    fn namespace(&self, pod: &str) -> String {
        format!("{}-{pod}", self.name)
    }

    fn make(&self, namespace: &str) {
        // Of a run that was killed.
        let _ = Command::new("ip").args(["netns", "del", namespace]).output();
        ip(&["netns", "add", namespace]);
        self.namespaces.borrow_mut().push(namespace.to_owned());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for namespace in self.namespaces.borrow().iter() {
            let _ = Command::new("ip").args(["netns", "del", namespace]).output();
        }
    }
}

/// Follows, and hands every change over.
pub fn follow() -> (Follower, Receiver<Arc<Links>>) {
    let (sender, receiver) = mpsc::channel();
    let follower = Follower::start(move |links| {
        let _ = sender.send(Arc::clone(links));
    });
    (follower.expect("the tests need root"), receiver)
}

/// Waits for a change after which `wanted` holds.
pub fn until(changes: &Receiver<Arc<Links>>, wanted: impl Fn(&Links) -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    let mut last = None;
    while let Ok(links) = changes.recv_timeout(end.saturating_duration_since(Instant::now())) {
        if wanted(&links) {
            return;
        }
        last = Some(links);
    }
    panic!("it does not come; the last change: {last:?}");
}

/// Runs `ip`.
pub fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs many commands of `ip`.
pub fn ip_batch(commands: &str) {
    let mut child = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}
