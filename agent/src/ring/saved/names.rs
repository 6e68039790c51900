//! The names of a section: each stands once, and its flows tell its place.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;

use palomar_flow::rest::{Rest, Stands};
use palomar_model::attribution::PolicyRef;
use palomar_model::flow::FlowEndpoint;
use palomar_model::identity::Identity;
use palomar_model::labels::{Label, LabelSet};
use palomar_model::object::{ObjectName, Workload};

use super::bytes::{Malformed, Put as _, Take};
use super::record::{Numbers, Places};
use crate::ring::{Batch, EndpointId, Interface, Record, ServiceId, Writer};

/// Where labels come from, by number.
const LABEL_SOURCES: [&str; 3] = ["k8s", "reserved", "cidr"];
/// Kinds of policies, by number.
const POLICY_KINDS: [&str; 1] = ["NetworkPolicy"];
const HAS_POD: u8 = 1;
const HAS_WORKLOAD: u8 = 2;
/// How a rest stands to its record.
const BESIDE: u8 = 0;
const INSTEAD: u8 = 1;
const HAS_NODE: u8 = 2;

/// The lists of a section that is being filled.
#[derive(Debug, Default)]
pub struct NameLists {
    label_sets: LabelSets,
    endpoints: List,
    services: List,
    interfaces: List,
    policies: List,
    rests: List,
}

/// The list of label sets, which the ring has no numbers for.
#[derive(Debug, Default)]
struct LabelSets {
    places: HashMap<LabelSet, u32>,
    bytes: Vec<u8>,
}

/// One list: what has a place in it, by the ring's number, and its bytes.
#[derive(Debug, Default)]
struct List {
    /// By the ring's index: the place plus one, and in which section it is good.
    places: Vec<(u32, u32)>,
    section: u32,
    len: u32,
    bytes: Vec<u8>,
}

/// What the names of several sections share in memory.
#[derive(Debug, Default)]
pub struct Shared {
    label_sets: HashSet<LabelSet>,
    clusters: HashSet<Arc<str>>,
}

// === impl NameLists ===

impl NameLists {
    /// The places of a flow's names. Those that have none are given one.
    ///
    /// # Errors
    ///
    /// A name that the format has no number for: a later version must be written.
    pub fn places(&mut self, record: &Record, batch: &Batch) -> io::Result<Places> {
        let Self { label_sets, endpoints, services, interfaces, policies, rests } = self;
        let names = &batch.names;
        let mut endpoint = |id: EndpointId| {
            endpoints.place(id.index(), |out| {
                let endpoint = names.endpoint(id);
                let label_set = label_sets.place(&endpoint.labels)?;
                put_endpoint(endpoint, label_set, out);
                Ok(())
            })
        };
        let (source, destination) = (endpoint(record.source)?, endpoint(record.destination)?);
        let mut service = |id: Option<ServiceId>| {
            let place = |id: ServiceId| {
                services.place(id.index(), |out| {
                    put_name(names.service(id), out);
                    Ok(())
                })
            };
            id.map(place).transpose()
        };
        Ok(Places {
            source,
            destination,
            source_service: service(record.source_service)?,
            destination_service: service(record.destination_service)?,
            interface: interfaces.place(record.interface.index(), |out| {
                let Interface { index, name } = &**names.interface(record.interface);
                out.put_varint((*index).into());
                out.put_text(name);
                Ok(())
            })?,
            policies: record
                .policies
                .map(|id| policies.place(id.index(), |out| put_policies(names.policies(id), out)))
                .transpose()?,
            rest: record
                .rest
                .map(|id| {
                    rests.place(id.index(), |out| {
                        put_rest(names.rest(id), out);
                        Ok(())
                    })
                })
                .transpose()?,
        })
    }

    /// How many bytes the lists take.
    pub const fn bytes(&self) -> usize {
        self.label_sets.bytes.len()
            + self.endpoints.bytes.len()
            + self.services.bytes.len()
            + self.interfaces.bytes.len()
            + self.policies.bytes.len()
            + self.rests.bytes.len()
    }

    /// Appends the lists, and begins new ones.
    pub fn put(&mut self, out: &mut Vec<u8>) {
        let Self { label_sets, endpoints, services, interfaces, policies, rests } = self;
        out.put_len(label_sets.places.len());
        out.append(&mut label_sets.bytes);
        label_sets.places.clear();
        for list in [endpoints, services, interfaces, policies, rests] {
            out.put_varint(list.len.into());
            out.append(&mut list.bytes);
            list.len = 0;
            list.section += 1;
        }
    }
}

// === impl LabelSets ===

impl LabelSets {
    /// The place of a label set; it is appended if it has none.
    fn place(&mut self, labels: &LabelSet) -> io::Result<u32> {
        if let Some(place) = self.places.get(labels) {
            return Ok(*place);
        }
        put_label_set(labels, &mut self.bytes)?;
        let place = u32::try_from(self.places.len()).expect("invariant: a section has few flows");
        self.places.insert(labels.clone(), place);
        Ok(place)
    }
}

// === impl List ===

impl List {
    /// The place of the name with this index in the ring; `put` appends it if it has none.
    fn place(&mut self, index: usize, put: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<u32> {
        if self.places.len() <= index {
            self.places.resize(index + 1, (0, 0));
        }
        let (place, section) = &mut self.places[index];
        if *place == 0 || *section != self.section {
            put(&mut self.bytes)?;
            self.len += 1;
            (*place, *section) = (self.len, self.section);
        }
        Ok(*place - 1)
    }
}

/// Takes the lists of a section of so many flows, and gives each name its number in a ring, good for one
/// [`Writer::append`].
pub fn take(
    take: &mut Take<'_>,
    flows: usize,
    shared: &mut Shared,
    writer: &mut Writer,
) -> Result<Numbers, Malformed> {
    let ends = flows * 2;
    let label_sets = take.list("the label sets", ends, |take| Ok(shared.label_set(take_label_set(take)?)))?;
    Ok(Numbers {
        endpoints: take.list("the ends", ends, |take| {
            let endpoint = take_endpoint(take, &label_sets, shared)?;
            Ok(writer.endpoint(&Arc::new(endpoint)))
        })?,
        services: take.list("the services", ends, |take| Ok(writer.service(&Arc::new(take_name(take)?))))?,
        interfaces: take.list("the interfaces", flows, |take| {
            let index = take.varint_u32("index of an interface")?;
            let name = Arc::from(take.text("the name of an interface")?);
            Ok(writer.interface(&Arc::new(Interface { index, name })))
        })?,
        policies: take.list("the policies", flows, |take| {
            let policies: Arc<[PolicyRef]> = take.list("a list of policies", usize::MAX, take_policy)?.into();
            Ok(writer.policies(&policies))
        })?,
        rests: take.list("the rests", flows, |take| Ok(writer.rest(&Arc::new(take_rest(take)?))))?,
    })
}

// === impl Shared ===

impl Shared {
    fn label_set(&mut self, labels: LabelSet) -> LabelSet {
        if let Some(known) = self.label_sets.get(&labels) {
            return known.clone();
        }
        self.label_sets.insert(labels.clone());
        labels
    }

    fn cluster(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.clusters.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = Arc::from(name);
        self.clusters.insert(Arc::clone(&name));
        name
    }
}

fn put_label_set(labels: &LabelSet, out: &mut Vec<u8>) -> io::Result<()> {
    out.put_len(labels.iter().count());
    for Label { source, key, value } in labels.iter() {
        out.put_u8(number_of(source, &LABEL_SOURCES)?);
        out.put_text(key);
        out.put_text(value);
    }
    Ok(())
}

fn take_label_set(take: &mut Take<'_>) -> Result<LabelSet, Malformed> {
    let labels = take.list("a label set", usize::MAX, |take| {
        Ok(Label {
            source: numbered(take, "source of a label", &LABEL_SOURCES)?,
            key: take.text("the key of a label")?.to_owned(),
            value: take.text("the value of a label")?.to_owned(),
        })
    })?;
    Ok(LabelSet::new(labels))
}

fn put_endpoint(endpoint: &FlowEndpoint, label_set: u32, out: &mut Vec<u8>) {
    let FlowEndpoint { id, identity, labels: _, pod, workload, cluster } = endpoint;
    out.put_varint((*id).into());
    out.put_varint(identity.0.into());
    out.put_varint(label_set.into());
    out.put_text(cluster);
    let pod_flag = if pod.is_some() { HAS_POD } else { 0 };
    out.put_u8(pod_flag | if workload.is_some() { HAS_WORKLOAD } else { 0 });
    if let Some(pod) = pod {
        put_name(pod, out);
    }
    if let Some(Workload { name, kind }) = workload {
        out.put_text(name);
        out.put_text(kind);
    }
}

fn take_endpoint(
    take: &mut Take<'_>,
    label_sets: &[LabelSet],
    shared: &mut Shared,
) -> Result<FlowEndpoint, Malformed> {
    let id = take.varint_u32("number of an end")?;
    let identity = Identity(take.varint_u32("identity")?);
    let place = take.varint_u32("label set")?;
    let labels = usize::try_from(place).ok().and_then(|place| label_sets.get(place)).cloned();
    let labels = labels.ok_or(Malformed::Number { what: "label set", number: place.into() })?;
    let cluster = shared.cluster(take.text("the cluster of an end")?);
    let has = take.u8("an end")?;
    let pod = (has & HAS_POD != 0).then(|| take_name(take)).transpose()?;
    let workload = (has & HAS_WORKLOAD != 0).then(|| take_workload(take)).transpose()?;
    Ok(FlowEndpoint { id, identity, labels, pod, workload, cluster })
}

fn take_workload(take: &mut Take<'_>) -> Result<Workload, Malformed> {
    let name = take.text("the name of a workload")?.to_owned();
    Ok(Workload { name, kind: take.text("the kind of a workload")?.to_owned() })
}

fn put_name(name: &ObjectName, out: &mut Vec<u8>) {
    let ObjectName { namespace, name } = name;
    out.put_text(namespace);
    out.put_text(name);
}

fn take_name(take: &mut Take<'_>) -> Result<ObjectName, Malformed> {
    let namespace = take.text("a namespace")?;
    Ok(ObjectName::new(namespace, take.text("a name")?))
}

fn put_policies(policies: &[PolicyRef], out: &mut Vec<u8>) -> io::Result<()> {
    out.put_len(policies.len());
    for PolicyRef { name, kind } in policies {
        out.put_u8(number_of(kind, &POLICY_KINDS)?);
        put_name(name, out);
    }
    Ok(())
}

fn take_policy(take: &mut Take<'_>) -> Result<PolicyRef, Malformed> {
    let kind = numbered(take, "kind of policy", &POLICY_KINDS)?;
    Ok(PolicyRef { name: take_name(take)?, kind })
}

fn put_rest(rest: &Rest, out: &mut Vec<u8>) {
    let stands = match rest.stands() {
        Stands::Beside => BESIDE,
        Stands::Instead => INSTEAD,
    };
    out.put_u8(if rest.node_name().is_some() { stands | HAS_NODE } else { stands });
    out.put_text(rest.node_name().unwrap_or_default());
    out.put_len(rest.fields().len());
    out.put(rest.fields());
}

fn take_rest(take: &mut Take<'_>) -> Result<Rest, Malformed> {
    let what = "a rest";
    let how = take.u8(what)?;
    let stands = match how & !HAS_NODE {
        BESIDE => Stands::Beside,
        INSTEAD => Stands::Instead,
        _ => return Err(Malformed::Number { what, number: how.into() }),
    };
    let node_name = Some(take.text(what)?).filter(|_| how & HAS_NODE != 0);
    let len = take.varint(what)?;
    let fields = take.bytes(usize::try_from(len).unwrap_or(usize::MAX), what)?;
    Rest::new(stands, fields, node_name).ok_or(Malformed::Number { what, number: len })
}

fn number_of(text: &str, all: &[&str]) -> io::Result<u8> {
    let place = all.iter().position(|known| *known == text).and_then(|place| u8::try_from(place).ok());
    place.ok_or_else(|| {
        let why = format!("{text:?} has no number in a file of flows: choose from {}", all.join(", "));
        io::Error::new(io::ErrorKind::InvalidInput, why)
    })
}

fn numbered(
    take: &mut Take<'_>,
    what: &'static str,
    all: &[&'static str],
) -> Result<&'static str, Malformed> {
    let number = take.u8(what)?;
    all.get(usize::from(number)).copied().ok_or(Malformed::Number { what, number: number.into() })
}
