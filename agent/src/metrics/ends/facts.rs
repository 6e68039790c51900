//! What can be told of an end.

use std::borrow::Cow;
use std::net::IpAddr;

use palomar_flow::view::Side;
use palomar_model::flow::FlowEndpoint;
use palomar_model::labels::{Label, LabelSet};
use palomar_model::object::{ObjectName, Workload};

use crate::metrics::selection::{Identifier, Selection, SideContext, SideFact};

/// Pod labels that name an application, the first that has a value. Hubble looks for them in the order in which it
/// sorts labels.
const APP_KEYS: [&str; 3] = ["app.kubernetes.io/name", "app", "k8s-app"];

/// What is told of an end; empty texts where it has nothing of the kind, or where nobody wants to know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct EndFacts {
    identity: String,
    namespace: String,
    pod: String,
    ip: String,
    reserved: String,
    workload: String,
    workload_kind: String,
    app: String,
}

/// What a selection wants to know of the ends of a side.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    lists: Vec<Vec<Identifier>>,
    labels: Vec<SideFact>,
}

// === impl EndFacts ===

impl EndFacts {
    /// What is wanted of an end. Its address is told only if it is given.
    pub fn new(endpoint: &FlowEndpoint, address: Option<IpAddr>, wanted: &Wanted) -> Self {
        let FlowEndpoint { id: _, identity: _, labels, pod, workload, cluster: _ } = endpoint;
        let ObjectName { namespace, name } = pod.clone().unwrap_or_else(|| ObjectName::new("", ""));
        let Workload { name: workload, kind: workload_kind } =
            workload.clone().unwrap_or_else(|| Workload { name: String::new(), kind: String::new() });
        let everything = Self {
            identity: labels.to_strings().join(","),
            namespace,
            pod: name,
            ip: address.map(|address| address.to_string()).unwrap_or_default(),
            reserved: reserved(labels),
            workload,
            workload_kind,
            app: app(labels),
        };
        everything.only(wanted)
    }

    /// What a context calls the end; empty if it has no such name.
    pub fn called(&self, identifier: Identifier) -> Cow<'_, str> {
        match identifier {
            Identifier::Identity => (&self.identity).into(),
            Identifier::Namespace => (&self.namespace).into(),
            Identifier::Pod => in_namespace(&self.namespace, &self.pod),
            Identifier::PodName => (&self.pod).into(),
            Identifier::Dns => "".into(),
            Identifier::Ip => (&self.ip).into(),
            Identifier::ReservedIdentity => (&self.reserved).into(),
            Identifier::Workload => in_namespace(&self.namespace, &self.workload),
            Identifier::WorkloadName => (&self.workload).into(),
            Identifier::App => (&self.app).into(),
        }
    }

    /// The first name of a list that the end has, and which it is; empty if it has none.
    pub fn first_called(&self, identifiers: &[Identifier]) -> (Cow<'_, str>, Option<Identifier>) {
        identifiers
            .iter()
            .map(|identifier| (self.called(*identifier), Some(*identifier)))
            .find(|(name, _)| !name.is_empty())
            .unwrap_or_default()
    }

    /// The value of a label.
    pub fn fact(&self, fact: SideFact) -> &str {
        match fact {
            SideFact::Ip => &self.ip,
            SideFact::Pod => &self.pod,
            SideFact::Namespace => &self.namespace,
            SideFact::Workload => &self.workload,
            SideFact::WorkloadKind => &self.workload_kind,
            SideFact::App => &self.app,
        }
    }

    /// The pod; `None` for an end without one, or whose pod nobody wants to know.
    pub fn pod(&self) -> Option<ObjectName> {
        let is_known = !self.namespace.is_empty() && !self.pod.is_empty();
        is_known.then(|| ObjectName::new(&self.namespace, &self.pod))
    }

    /// Without what nobody wants to know, so that more ends are the same.
    fn only(self, wanted: &Wanted) -> Self {
        let keep = |text: String, identifiers: &[Identifier], fact: Option<SideFact>| {
            if wanted.any(identifiers, fact) { text } else { String::new() }
        };
        let Self { identity, namespace, pod, ip, reserved, workload, workload_kind, app } = self;
        let in_namespace = [Identifier::Namespace, Identifier::Pod, Identifier::Workload];
        Self {
            identity: keep(identity, &[Identifier::Identity], None),
            namespace: keep(namespace, &in_namespace, Some(SideFact::Namespace)),
            pod: keep(pod, &[Identifier::Pod, Identifier::PodName], Some(SideFact::Pod)),
            ip,
            reserved: keep(reserved, &[Identifier::ReservedIdentity], None),
            workload: keep(
                workload,
                &[Identifier::Workload, Identifier::WorkloadName],
                Some(SideFact::Workload),
            ),
            workload_kind: keep(workload_kind, &[], Some(SideFact::WorkloadKind)),
            app: keep(app, &[Identifier::App], Some(SideFact::App)),
        }
    }
}

fn in_namespace<'a>(namespace: &str, name: &'a str) -> Cow<'a, str> {
    match (namespace, name) {
        (_, "") | ("", _) => name.into(),
        _ => format!("{namespace}/{name}").into(),
    }
}

fn reserved(labels: &LabelSet) -> String {
    let is_reserved = |label: &&Label| label.source == "reserved";
    let apiserver = labels.iter().filter(is_reserved).find(|label| label.key == "kube-apiserver");
    let shown = apiserver.or_else(|| labels.iter().find(is_reserved));
    shown.map(ToString::to_string).unwrap_or_default()
}

fn app(labels: &LabelSet) -> String {
    let value = |key| {
        labels.iter().find(|label| label.source == "k8s" && label.key == key && !label.value.is_empty())
    };
    APP_KEYS.into_iter().find_map(value).map(|label| label.value.clone()).unwrap_or_default()
}

// === impl Wanted ===

impl Wanted {
    /// What a selection wants to know of a side.
    pub fn of(selection: &Selection, side: Side) -> Self {
        let mut wanted = Self::default();
        for chosen in selection.iter() {
            let context: &SideContext = chosen.contexts.side(side);
            wanted.lists.extend(context.lists().map(<[Identifier]>::to_vec));
            wanted.labels.extend(chosen.contexts.labels.iter().filter_map(|label| label.fact_of(side)));
        }
        wanted
    }

    /// Whether what is told of an end depends on the packet's address: not where a name that comes before it in a
    /// list is known. `facts` are those without the address.
    pub fn needs_address(&self, facts: &EndFacts) -> bool {
        let comes_to_address = |list: &Vec<Identifier>| {
            let before = list.iter().take_while(|identifier| **identifier != Identifier::Ip).count();
            before < list.len() && facts.first_called(&list[..before]).1.is_none()
        };
        self.labels.contains(&SideFact::Ip) || self.lists.iter().any(comes_to_address)
    }

    fn any(&self, identifiers: &[Identifier], fact: Option<SideFact>) -> bool {
        self.lists.iter().flatten().any(|identifier| identifiers.contains(identifier))
            || fact.is_some_and(|fact| self.labels.contains(&fact))
    }
}
