//! A node and a pod on this kernel: namespaces, a veth, a folder for pins. Needs root; fails without.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unused_self, reason = "the namespace that the methods act in is entered by making a lab")]

pub mod foreign;

use std::fs::File;
use std::net::{IpAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use palomar_bpf::abi::{
    ABI_VERSION, Counter, Endpoint, Mode, POLICY_ENFORCED, POLICY_ISOLATED_INGRESS, PolicyWord,
};
use palomar_bpf::{Datapath, Hooks, Options, Pins};

/// The node's address on the veth.
pub const NODE: &str = "10.77.0.1";
/// The pod's address.
pub const POD: &str = "10.77.0.2";
const NODE_MAC: &str = "02:00:00:00:00:01";
const POD_MAC: &str = "02:00:00:00:00:02";
/// The identity that the pod gets.
pub const IDENTITY: u32 = 400;

/// A node with one pod. The test's thread is in the node's namespace until its end.
pub struct Lab {
    node: String,
    pod: String,
    pub pins: PathBuf,
}

impl Lab {
    /// `name`: unique among the tests, at most 20 characters.
    pub fn new(name: &str) -> Self {
        let node = format!("plm-loader-{name}");
        let pod = format!("plm-loader-{name}-pod");
        let pins = PathBuf::from(format!("/sys/fs/bpf/{node}"));
        let lab = Self { node, pod, pins };
        lab.remove();
        for namespace in [&lab.node, &lab.pod] {
            ip(&["netns", "add", namespace]);
        }
        let node = File::open(format!("/run/netns/{}", lab.node)).unwrap();
        setns(node, CloneFlags::CLONE_NEWNET).expect("the tests need root");
        ip(&["link", "set", "lo", "up"]);
        lab.add_veth(&[]);
        lab
    }

    /// Adds the veth `pod0`, with extra words for `ip link add`; packets can flow when it returns.
    pub fn add_veth(&self, words: &[&str]) {
        let pod = self.pod.as_str();
        let mut arguments = vec!["link", "add", "pod0", "address", NODE_MAC];
        arguments.extend_from_slice(words);
        arguments
            .extend_from_slice(&["type", "veth", "peer", "name", "eth0", "address", POD_MAC, "netns", pod]);
        ip(&arguments);
        ip(&["addr", "add", &format!("{NODE}/24"), "dev", "pod0"]);
        ip(&["-n", pod, "addr", "add", &format!("{POD}/24"), "dev", "eth0"]);
        ip(&["-n", pod, "link", "set", "eth0", "up"]);
        ip(&["link", "set", "pod0", "up"]);
        ip(&["neigh", "add", POD, "lladdr", POD_MAC, "dev", "pod0", "nud", "permanent"]);
        ip(&["-n", pod, "neigh", "add", NODE, "lladdr", NODE_MAC, "dev", "eth0", "nud", "permanent"]);
        let start = Instant::now();
        while !ip(&["link", "show", "pod0"]).contains("state UP") {
            assert!(start.elapsed() < Duration::from_secs(5), "the veth does not come up");
        }
    }

    pub fn delete_veth(&self) {
        ip(&["link", "del", "pod0"]);
    }

    pub fn ifindex(&self) -> u32 {
        nix::net::if_::if_nametoindex("pod0").unwrap()
    }

    /// Where the policy table is pinned.
    pub fn rules_pin(&self) -> PathBuf {
        self.pins.join(format!("v{ABI_VERSION}/rules"))
    }

    pub fn pins(&self) -> Pins {
        Pins::create(&self.pins).unwrap()
    }

    /// Loads over the lab's pins.
    pub fn load(&self, hooks: Hooks) -> Datapath {
        self.load_with(&Options { hooks, ..Options::default() })
    }

    pub fn load_with(&self, options: &Options) -> Datapath {
        Datapath::load(options, Some(self.pins())).unwrap()
    }

    /// Makes the veth an observed pod that no policy isolates.
    pub fn observe(&self, datapath: &Datapath) {
        let endpoint = Endpoint {
            policy: PolicyWord::new(1, 1, 0).unwrap(),
            id: 9,
            identity: IDENTITY,
            ..Endpoint::default()
        };
        datapath.maps.endpoints.set(self.ifindex(), &endpoint).unwrap();
    }

    /// Isolates the pod for what comes to it, without a rule that allows, and enforces.
    pub fn deny(&self, datapath: &Datapath) {
        let policy = PolicyWord::new(1, 1, POLICY_ISOLATED_INGRESS | POLICY_ENFORCED).unwrap();
        let endpoint = Endpoint { policy, id: 9, identity: IDENTITY, ..Endpoint::default() };
        datapath.maps.endpoints.set(self.ifindex(), &endpoint).unwrap();
        datapath.maps.settings.set_mode(Mode::Enforce);
    }

    /// Sends `count` datagrams from the node to the pod, each on a connection of its own.
    pub fn send(&self, count: u16) {
        let target: IpAddr = POD.parse().unwrap();
        for port in 0..count {
            let socket = UdpSocket::bind((NODE, 0)).unwrap();
            socket.send_to(b"palomar", (target, 5000 + port)).unwrap();
        }
    }

    /// A socket of the pod that has what arrives at `port`; reading does not wait.
    pub fn pod_socket(&self, port: u16) -> UdpSocket {
        let namespace = File::open(format!("/run/netns/{}", self.pod)).unwrap();
        let open = move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            UdpSocket::bind((POD, port)).unwrap()
        };
        let socket = std::thread::spawn(open).join().unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    fn remove(&self) {
        for namespace in [&self.node, &self.pod] {
            let _ = Command::new("ip").args(["netns", "del", namespace]).output();
        }
        let _ = std::fs::remove_dir_all(&self.pins);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Packets that the programs let pass.
pub fn forwarded(datapath: &Datapath) -> u64 {
    datapath.maps.counters.get(Counter::Forwarded).unwrap()
}

/// Runs `ip`.
pub fn ip(arguments: &[&str]) -> String {
    run("ip", arguments)
}

pub fn run(program: &str, arguments: &[&str]) -> String {
    let output =
        Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    text
}
