//! Following veths and addresses on this kernel. Needs root, and fails without.

#[cfg(test)]
mod links_support;

use std::net::IpAddr;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use links_support::{Node, follow, ip, until};
use palomar_agent::links::{Follower, Link, Links};

fn addresses(link: &Link) -> Vec<String> {
    link.addresses.iter().map(IpAddr::to_string).collect()
}

/// The pod's veth by its name on the node.
fn link<'a>(links: &'a Links, name: &str) -> Option<&'a Link> {
    links.veths.values().find(|link| link.name == name)
}

fn has(links: &Links, name: &str, expected: &[&str]) -> bool {
    link(links, name).is_some_and(|link| addresses(link) == expected)
}

#[test]
fn the_first_look_has_the_pods_and_the_nodes_addresses() {
    let node = Node::new("first");
    node.add_pod("pod0", &["10.77.0.2/24", "fd77::2/64", "fe80::77/64"]);
    ip(&["link", "add", "both0", "type", "veth", "peer", "name", "both1"]);
    ip(&["link", "add", "br0", "type", "bridge"]);
    ip(&["addr", "add", "10.77.1.1/24", "dev", "br0"]);
    ip(&["addr", "add", "10.77.0.1/32", "peer", "10.77.0.2/32", "dev", "pod0"]);
    let follower = Follower::start(|_| {}).expect("the tests need root");
    let links = follower.current();
    assert_eq!(links.veths.len(), 1, "{links:?}");
    let pod = link(&links, "pod0").unwrap();
    assert_eq!(addresses(pod), ["10.77.0.2", "fd77::2"]);
    assert_eq!(links.veths[&pod.ifindex], *pod);
    let own: Vec<String> = links.node_addresses.iter().map(IpAddr::to_string).collect();
    assert!(own.contains(&"10.77.0.1".to_owned()) && own.contains(&"10.77.1.1".to_owned()), "{own:?}");
    assert!(!own.contains(&"10.77.0.2".to_owned()) && !own.contains(&"127.0.0.1".to_owned()), "{own:?}");
}

#[test]
fn a_pod_that_comes_is_seen_although_its_address_comes_later_and_so_is_its_end() {
    let node = Node::new("come");
    let (_follower, changes) = follow();
    node.add_pod("pod0", &[]);
    until(&changes, |links| link(links, "pod0").is_some());
    std::thread::sleep(Duration::from_millis(300));
    node.pod("pod0", &["addr", "add", "10.77.0.2/24", "dev", "eth0"]);
    until(&changes, |links| has(links, "pod0", &["10.77.0.2"]));
    ip(&["link", "set", "pod0", "down"]);
    ip(&["link", "set", "pod0", "name", "renamed"]);
    until(&changes, |links| has(links, "renamed", &["10.77.0.2"]));
    ip(&["link", "del", "renamed"]);
    until(&changes, |links| links.veths.is_empty());
}

#[test]
fn addresses_of_the_node_are_followed() {
    let _node = Node::new("own");
    ip(&["link", "add", "br0", "type", "bridge"]);
    let (_follower, changes) = follow();
    let address: IpAddr = "10.77.9.1".parse().unwrap();
    ip(&["addr", "add", "10.77.9.1/24", "dev", "br0"]);
    until(&changes, |links| links.node_addresses.contains(&address));
    ip(&["addr", "del", "10.77.9.1/24", "dev", "br0"]);
    until(&changes, |links| !links.node_addresses.contains(&address));
}

#[test]
fn a_veth_becomes_a_pods_when_one_end_moves_away() {
    let node = Node::new("move");
    let (_follower, changes) = follow();
    ip(&["link", "add", "pod0", "type", "veth", "peer", "name", "eth0"]);
    ip(&["link", "set", "pod0", "up"]);
    let namespace = node.add_namespace("pod0");
    ip(&["link", "set", "eth0", "netns", &namespace]);
    node.pod("pod0", &["addr", "add", "10.77.0.2/24", "dev", "eth0"]);
    node.pod("pod0", &["link", "set", "eth0", "up"]);
    until(&changes, |links| has(links, "pod0", &["10.77.0.2"]));
}

#[test]
fn a_port_that_leaves_its_bridge_is_still_there() {
    let node = Node::new("bridge");
    node.add_pod("pod0", &["10.77.0.2/24"]);
    ip(&["link", "add", "br0", "type", "bridge"]);
    let (follower, changes) = follow();
    ip(&["link", "set", "pod0", "master", "br0"]);
    ip(&["link", "set", "pod0", "nomaster"]);
    // Everything that the bridge told is read once this is.
    ip(&["addr", "add", "10.77.9.1/24", "dev", "br0"]);
    until(&changes, |links| links.node_addresses.contains(&"10.77.9.1".parse().unwrap()));
    assert!(has(&follower.current(), "pod0", &["10.77.0.2"]));
}

#[test]
fn an_address_that_comes_to_a_settled_pod_is_seen_after_a_refresh() {
    let node = Node::new("refresh");
    node.add_pod("pod0", &["10.77.0.2/24"]);
    let (follower, changes) = follow();
    // Longer than a veth is asked by itself.
    std::thread::sleep(Duration::from_secs(6));
    node.pod("pod0", &["addr", "add", "10.77.0.3/24", "dev", "eth0"]);
    std::thread::sleep(Duration::from_millis(300));
    assert!(has(&follower.current(), "pod0", &["10.77.0.2"]));
    follower.refresh();
    until(&changes, |links| has(links, "pod0", &["10.77.0.2", "10.77.0.3"]));
}

#[test]
fn lost_messages_cost_a_new_look_and_no_veth() {
    let node = Node::new("lost");
    node.add_pod("old0", &["10.77.0.2/24"]);
    let (tell, changes) = mpsc::channel();
    let (go, held) = mpsc::channel::<()>();
    // The first change holds the follower until the flood is over.
    let follower = Follower::start(move |links| {
        let _ = held.recv();
        let _ = tell.send(links.clone());
    })
    .unwrap();
    ip(&["addr", "add", "10.77.9.1/24", "dev", "lo"]);
    std::thread::sleep(Duration::from_millis(200));
    let flood: Vec<String> = (0..4000).map(|n| format!("link set dev lo alias flood{n}\n")).collect();
    links_support::ip_batch(&flood.concat());
    ip(&["link", "del", "old0"]);
    node.add_pod("new0", &["10.77.0.9/24"]);
    drop(go);
    until(&changes, |links| link(links, "old0").is_none() && has(links, "new0", &["10.77.0.9"]));
    assert_eq!(follower.current().veths.len(), 1);
}

/// Runs in the process that the next test starts, in its network namespace.
#[test]
#[ignore = "started by another test"]
fn with_one_capability() {
    println!("sees {:?}", Follower::start(|_| {}).unwrap().current().veths);
}

#[test]
fn the_network_capability_is_all_that_is_needed() {
    let node = Node::new("caps");
    node.add_pod("pod0", &["10.77.0.2/24"]);
    let output = Command::new("setpriv")
        .args(["--bounding-set=-all,+net_admin", "--inh-caps=-all"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "with_one_capability", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("addresses: [10.77.0.2]"), "{text}");
}
