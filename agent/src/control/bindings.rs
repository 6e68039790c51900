//! Which veth is which pod.
//!
//! A pod may change the addresses of its own interface, so they are believed once: a veth that was found to be a pod
//! stays that pod for as long as the veth and the pod are there. Only pods of this node are looked for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use palomar_model::object::ObjectName;
use palomar_model::world::{Pod, World};

use crate::links::{Link, Links};

/// The pods that interfaces were found to be.
#[derive(Debug, Default)]
pub struct Bindings {
    by_interface: BTreeMap<u32, Binding>,
    by_pod: HashMap<ObjectName, u32>,
    /// Pods of this node that no interface was found for.
    unbound: BTreeSet<ObjectName>,
}

#[derive(Debug)]
struct Binding {
    pod: ObjectName,
    uid: String,
    /// The other end: an interface index may be given again.
    peer: (u32, i32),
}

impl Bindings {
    /// Takes in what the world and the interfaces say now: `changed` are the pods that came, went or are other than before,
    /// and with the interfaces it is told which of them are. Gives the pods whose interface is another one.
    pub fn follow(
        &mut self,
        world: &World,
        changed: &BTreeSet<ObjectName>,
        (links, changed_links): (&Links, &BTreeSet<u32>),
        node_name: &str,
    ) -> BTreeSet<ObjectName> {
        let is_local = |pod: &Pod| !pod.host_network && (pod.node.is_empty() || pod.node == node_name);
        let of_changed = changed.iter().filter_map(|name| self.interface(name));
        let suspects: BTreeSet<u32> = of_changed.chain(changed_links.iter().copied()).collect();
        let mut moved = BTreeSet::new();
        for ifindex in suspects {
            let holds = |binding: &Binding| {
                let pod = world.pods.get(&binding.pod);
                links.veths.get(&ifindex).is_some_and(|link| end(link) == binding.peer)
                    && pod.is_some_and(|pod| {
                        is_local(pod) && !pod.addresses.is_empty() && pod.uid == binding.uid
                    })
            };
            if let Some(binding) = self.by_interface.remove(&ifindex) {
                if holds(&binding) {
                    self.by_interface.insert(ifindex, binding);
                } else {
                    self.by_pod.remove(&binding.pod);
                    moved.insert(binding.pod);
                }
            }
        }
        let mut may_bind = !changed_links.is_empty() || !moved.is_empty();
        for name in changed.iter().chain(&moved) {
            let is_unbound =
                world.pods.get(name).is_some_and(|pod| is_local(pod)) && !self.by_pod.contains_key(name);
            if is_unbound {
                may_bind = true;
                self.unbound.insert(name.clone());
            } else {
                self.unbound.remove(name);
            }
        }
        while may_bind {
            // where two pods claim an address and one of them has found its interface, there may be another for the other
            let bound = self.bind(world, links);
            may_bind = !bound.is_empty();
            moved.extend(bound);
        }
        moved
    }

    /// Looks for interfaces of the pods that have none; gives those for which one was found.
    fn bind(&mut self, world: &World, links: &Links) -> Vec<ObjectName> {
        let mut wanted: HashMap<IpAddr, &Pod> = HashMap::new();
        for pod in self.unbound.iter().filter_map(|name| world.pods.get(name)) {
            for address in &pod.addresses {
                wanted.entry(*address).or_insert(pod);
            }
        }
        let mut bound = Vec::new();
        if wanted.is_empty() {
            return bound;
        }
        for (ifindex, link) in &links.veths {
            if self.by_interface.contains_key(ifindex) {
                continue;
            }
            let mut found = link.addresses.iter().filter_map(|address| wanted.get(address));
            let Some(pod) = found.find(|pod| !self.by_pod.contains_key(&pod.name)) else {
                continue;
            };
            let binding = Binding { pod: pod.name.clone(), uid: pod.uid.clone(), peer: end(link) };
            self.by_pod.insert(pod.name.clone(), *ifindex);
            self.unbound.remove(&pod.name);
            self.by_interface.insert(*ifindex, binding);
            bound.push(pod.name.clone());
        }
        bound
    }

    /// The pods of this node that no interface was found for.
    pub fn unbound(&self) -> impl Iterator<Item = &ObjectName> {
        self.unbound.iter()
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
