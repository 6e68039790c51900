//! A lab: built, used, removed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use palomar_model::object::ObjectName;

use crate::address::{self, AddressPlan};
use crate::ledger::Ledger;
use crate::name::check_pod_name;
use crate::sysctl;
use crate::wiring::{self, Cable, UPLINK};
use crate::{LabError, Netns, Place, PodSpec, Topology, ip};

/// How many pods are set up at the same time.
const WORKERS: usize = 4;

/// A node with pods and a world outside. Dropping it removes everything that it has created; [`Lab::down`] does the
/// same and tells of failures.
#[derive(Debug)]
pub struct Lab {
    topology: Topology,
    ledger: Arc<Ledger>,
    addresses: AddressPlan,
    node: Place,
    outside: Place,
    pods: BTreeMap<ObjectName, Pod>,
}

#[derive(Debug)]
struct Pod {
    spec: PodSpec,
    cable: Cable,
    place: Place,
}

// === impl Lab ===

impl Lab {
    /// Builds a node with these pods, and a world outside of it. What a killed run of the same name has left is removed
    /// first.
    ///
    /// # Errors
    /// When the name is not 1 to 16 lower-case letters and digits, a living process has a lab of this name, two pods
    /// share a name or an address, or the kernel refuses. Nothing is left over then.
    pub fn new(name: &str, topology: Topology, pods: Vec<PodSpec>) -> Result<Self, LabError> {
        let ledger = Arc::new(Ledger::open(name.parse()?)?);
        let place = |name: &str, netns: String, addresses: [_; 2]| {
            Place::new(name.to_owned(), Netns::new(netns), addresses.to_vec(), None, Arc::clone(&ledger))
        };
        // from here on, dropping it cleans up
        let mut lab = Self {
            topology,
            addresses: AddressPlan::new(topology),
            node: place("node", ledger.name().node_netns(), address::NODE),
            outside: place("outside", ledger.name().outside_netns(), address::OUTSIDE),
            pods: BTreeMap::new(),
            ledger: Arc::clone(&ledger),
        };
        lab.create_namespaces(&[lab.node.netns().clone(), lab.outside.netns().clone()])?;
        lab.wire_node()?;
        lab.add_pods(pods)?;
        Ok(lab)
    }

    /// The lab's name.
    pub fn name(&self) -> &str {
        self.ledger.name().as_str()
    }

    /// How its pods are joined.
    pub fn topology(&self) -> Topology {
        self.topology
    }

    /// The node.
    pub fn node(&self) -> &Place {
        &self.node
    }

    /// The world outside: [`address::OUTSIDE`], behind the router [`address::ROUTER`].
    pub fn outside(&self) -> &Place {
        &self.outside
    }

    /// A pod by `namespace/name`.
    ///
    /// # Errors
    /// When there is none; the message lists those there are.
    pub fn pod(&self, name: &str) -> Result<&Place, LabError> {
        self.key(name).map(|key| &self.pods[&key].place)
    }

    /// All pods with what they were made of, by name; the addresses are those they have.
    pub fn pods(&self) -> impl Iterator<Item = (&PodSpec, &Place)> {
        self.pods.values().map(|pod| (&pod.spec, &pod.place))
    }

    /// Adds pods.
    ///
    /// # Errors
    /// See [`Self::new`]; pods of a call that failed are not in the lab, but may be removed only with it.
    pub fn add_pods(&mut self, specs: Vec<PodSpec>) -> Result<(), LabError> {
        let pods = self.plan(specs)?;
        let namespaces: Vec<_> = pods.iter().map(|pod| pod.place.netns().clone()).collect();
        self.create_namespaces(&namespaces)?;
        let host_lines: Vec<_> = pods.iter().flat_map(|pod| self.topology.host_lines(&pod.cable)).collect();
        ip::batch(self.node.netns(), &host_lines)?;
        let settings: Vec<_> = pods.iter().flat_map(|pod| self.topology.host_settings(&pod.cable)).collect();
        sysctl::apply(self.node.netns(), &settings)?;
        each(&pods, |pod| ip::batch(pod.place.netns(), &self.topology.pod_lines(&pod.cable)))?;
        self.pods.extend(pods.into_iter().map(|pod| (pod.spec.name.clone(), pod)));
        Ok(())
    }

    /// Removes a pod with its interfaces. Programs in it go on without a network. A pod of the same name that is added
    /// later gets the same interface names and, unless it asks for the old one, another address.
    ///
    /// # Errors
    /// When there is no such pod, or the kernel refuses.
    pub fn remove_pod(&mut self, name: &str) -> Result<(), LabError> {
        let key = self.key(name)?;
        let Some(pod) = self.pods.remove(&key) else { return Ok(()) };
        // a namespace takes its interfaces away later, in the background; the host end's name may be wanted at once
        ip::batch(self.node.netns(), &[format!("link del {}", pod.cable.host)])?;
        ip::batch_on_host(&[format!("netns del {}", pod.cable.netns)])?;
        self.addresses.give_back(&pod.cable.addresses);
        self.ledger.strike_namespace(&pod.cable.netns)
    }

    /// The directory for the lab's files, created on first use and removed with the lab.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn files_dir(&self) -> Result<PathBuf, LabError> {
        let dir = self.ledger.files_dir();
        self.ledger.create_dir(&dir)?;
        Ok(dir)
    }

    /// The directory on bpffs for what an agent in this lab pins, created on first use and removed with the lab.
    ///
    /// # Errors
    /// When it cannot be created, as where bpffs is not mounted.
    pub fn bpf_dir(&self) -> Result<PathBuf, LabError> {
        let dir = self.ledger.bpf_dir();
        self.ledger.create_dir(&dir)?;
        Ok(dir)
    }

    /// Removes the lab.
    ///
    /// # Errors
    /// When something could not be removed; the record still names it, for [`crate::down`].
    pub fn down(self) -> Result<(), LabError> {
        self.ledger.close()
    }

    /// Leaves the lab and the processes in it as they are, for people to look at and for [`crate::down`] to remove.
    ///
    /// # Errors
    /// When the record cannot be written; the lab is removed then.
    pub fn keep(self) -> Result<(), LabError> {
        self.ledger.keep()
    }

    /// The key of a pod that is there.
    fn key(&self, name: &str) -> Result<ObjectName, LabError> {
        let key = name.split_once('/').map(|(namespace, pod)| ObjectName::new(namespace, pod));
        key.filter(|key| self.pods.contains_key(key)).ok_or_else(|| LabError::UnknownPod {
            name: name.to_owned(),
            known: self.pods.keys().map(ToString::to_string).collect(),
        })
    }

    fn plan(&mut self, specs: Vec<PodSpec>) -> Result<Vec<Pod>, LabError> {
        let mut names: BTreeSet<_> = self.pods.keys().cloned().collect();
        let mut taken: BTreeSet<_> = self.pods.values().map(|pod| pod.cable.netns.clone()).collect();
        let mut pods = Vec::new();
        for mut spec in specs {
            check_pod_name(&spec.name)?;
            if !names.insert(spec.name.clone()) {
                return Err(LabError::DuplicatePod(spec.name.to_string()));
            }
            spec.addresses = self.addresses.take(&spec)?;
            let netns = self.ledger.name().pod_netns(&spec.name, &taken);
            taken.insert(netns.clone());
            let cable = Cable::new(self.topology, &spec.name, netns.clone(), spec.addresses.clone());
            let place = Place::new(
                spec.name.to_string(),
                Netns::new(netns),
                spec.addresses.clone(),
                Some(cable.host.clone()),
                Arc::clone(&self.ledger),
            );
            pods.push(Pod { spec, cable, place });
        }
        Ok(pods)
    }

    /// Writes the namespaces down, creates them and gives them the settings that everyone has.
    fn create_namespaces(&self, namespaces: &[Netns]) -> Result<(), LabError> {
        self.ledger.add_namespaces(namespaces.iter().map(Netns::name))?;
        let lines: Vec<_> = namespaces.iter().map(|netns| format!("netns add {}", netns.name())).collect();
        ip::batch_on_host(&lines)?;
        each(namespaces, |netns| sysctl::apply(netns, sysctl::EVERYWHERE))
    }

    fn wire_node(&self) -> Result<(), LabError> {
        let node = self.node.netns();
        let (outside_lines, default_routes) = wiring::uplink_outside();
        sysctl::apply(node, sysctl::NODE)?;
        ip::batch(node, &wiring::uplink_node(self.outside.netns().name()))?;
        ip::batch(self.outside.netns(), &outside_lines)?;
        ip::batch(node, &default_routes)?;
        ip::batch(node, &self.topology.node_lines())
    }

    /// The node's uplink, where traffic with the outside passes.
    pub fn uplink(&self) -> &'static str {
        UPLINK
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = self.ledger.close() {
            eprintln!("palomar-lab: {error}");
        }
    }
}

/// Does the work for every item on a few threads; the first error that was seen.
fn each<T: Sync>(items: &[T], work: impl Fn(&T) -> Result<(), LabError> + Sync) -> Result<(), LabError> {
    let chunk = items.len().div_ceil(WORKERS).max(1);
    thread::scope(|scope| {
        let workers: Vec<_> =
            items.chunks(chunk).map(|part| scope.spawn(|| part.iter().try_for_each(&work))).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}
