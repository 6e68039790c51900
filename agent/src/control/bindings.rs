//! Which veth is which pod.
//!
//! A pod may change the addresses of its own interface, so they are believed once: a veth that was found to be a pod
//! stays that pod for as long as the veth and the pod are there. Only pods of this node are looked for.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use palomar_model::object::ObjectName;
use palomar_model::world::{Pod, World};

use crate::links::{Link, Links};

/// The pods that interfaces were found to be.
#[derive(Debug, Default)]
pub struct Bindings {
    by_interface: BTreeMap<u32, Binding>,
    by_pod: HashMap<ObjectName, u32>,
}

#[derive(Debug)]
struct Binding {
    pod: ObjectName,
    uid: String,
    /// The other end: an interface index may be given again.
    peer: (u32, i32),
}

impl Bindings {
    /// Takes in what the world and the interfaces say now.
    pub fn follow(&mut self, world: &World, links: &Links, node_name: &str) {
        let is_local = |pod: &Pod| !pod.host_network && (pod.node.is_empty() || pod.node == node_name);
        self.by_interface.retain(|ifindex, binding| {
            let link = links.veths.get(ifindex).is_some_and(|link| end(link) == binding.peer);
            let pod = world.pods.get(&binding.pod);
            link && pod
                .is_some_and(|pod| is_local(pod) && !pod.addresses.is_empty() && pod.uid == binding.uid)
        });
        let bound: HashMap<ObjectName, u32> =
            self.by_interface.iter().map(|(ifindex, binding)| (binding.pod.clone(), *ifindex)).collect();
        self.by_pod = bound;

        let mut wanted: HashMap<IpAddr, &Pod> = HashMap::new();
        for pod in world.pods.values().filter(|pod| is_local(pod) && !self.by_pod.contains_key(&pod.name)) {
            for address in &pod.addresses {
                wanted.entry(*address).or_insert(pod);
            }
        }
        for (ifindex, link) in &links.veths {
            if self.by_interface.contains_key(ifindex) {
                continue;
            }
            let found = link.addresses.iter().filter_map(|address| wanted.get(address));
            let Some(pod) = found.into_iter().find(|pod| !self.by_pod.contains_key(&pod.name)) else {
                continue;
            };
            let binding = Binding { pod: pod.name.clone(), uid: pod.uid.clone(), peer: end(link) };
            self.by_pod.insert(pod.name.clone(), *ifindex);
            self.by_interface.insert(*ifindex, binding);
        }
    }

    /// The interface of a pod; `None` where none was found.
    pub fn interface(&self, pod: &ObjectName) -> Option<u32> {
        self.by_pod.get(pod).copied()
    }

    /// The pod of an interface; `None` where no pod of the world is known for it.
    pub fn pod(&self, ifindex: u32) -> Option<&ObjectName> {
        self.by_interface.get(&ifindex).map(|binding| &binding.pod)
    }
}

fn end(link: &Link) -> (u32, i32) {
    (link.peer, link.namespace)
}
