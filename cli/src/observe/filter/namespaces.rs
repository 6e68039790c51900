//! Namespaces of pods and services that were named without one.

use palomar_flow::go::quote::Quoted;
use palomar_proto::flow::FlowFilter;

use super::ends::Ends;

/// The namespaces that flags gave; an empty one means any.
#[derive(Debug, Default)]
pub struct Namespaces {
    either: Vec<String>,
    source: Vec<String>,
    destination: Vec<String>,
}

impl Namespaces {
    /// The list of some ends.
    pub fn of(&mut self, ends: Ends) -> &mut Vec<String> {
        match ends {
            Ends::Either => &mut self.either,
            Ends::Source => &mut self.source,
            Ends::Destination => &mut self.destination,
        }
    }

    /// Refuses names whose own namespace is none of the given ones, and services in another namespace than pods.
    pub fn check(&self, filter: &FlowFilter) -> Result<(), String> {
        let sources = [&filter.source_pod, &filter.source_service];
        let destinations = [&filter.destination_pod, &filter.destination_service];
        for names in sources.into_iter().chain(destinations) {
            contained(&self.either, names)?;
        }
        for names in sources {
            contained(&self.source, names)?;
        }
        for names in destinations {
            contained(&self.destination, names)?;
        }
        same(&filter.source_pod, &filter.source_service)?;
        same(&filter.destination_pod, &filter.destination_service)
    }

    /// Puts the namespaces before the names; where there are none, any pod of these namespaces is meant.
    pub fn apply(&self, left: &mut FlowFilter, right: &mut FlowFilter) {
        prefix(&self.either, &mut left.source_pod, &mut left.source_service);
        prefix(&self.either, &mut right.destination_pod, &mut right.destination_service);
        for filter in [left, right] {
            prefix(&self.source, &mut filter.source_pod, &mut filter.source_service);
            prefix(&self.destination, &mut filter.destination_pod, &mut filter.destination_service);
        }
    }
}

/// The namespace of a name, if it says one.
fn namespace(name: &str) -> Option<&str> {
    name.split_once('/').map(|(namespace, _)| namespace)
}

fn contained(namespaces: &[String], names: &[String]) -> Result<(), String> {
    let stray = names.iter().find(|name| {
        !namespaces.is_empty()
            && namespace(name).is_some_and(|own| !namespaces.iter().any(|known| known == own))
    });
    match stray {
        Some(name) => {
            let known: Vec<String> = namespaces.iter().map(|known| Quoted(known).to_string()).collect();
            Err(format!("namespace conflict: {} does not contain {}", known.join(", "), Quoted(name)))
        }
        None => Ok(()),
    }
}

fn same(pods: &[String], services: &[String]) -> Result<(), String> {
    for pod in pods.iter().filter_map(|pod| namespace(pod)).filter(|pod| !pod.is_empty()) {
        if let Some(service) = services.iter().find(|service| namespace(service).unwrap_or("") != pod) {
            return Err(format!(
                "namespace of service {} conflict with pod {}",
                Quoted(service),
                Quoted(pod)
            ));
        }
    }
    Ok(())
}

fn prefix(namespaces: &[String], pods: &mut Vec<String>, services: &mut Vec<String>) {
    if namespaces.is_empty() {
        return;
    }
    if pods.is_empty() && services.is_empty() {
        pods.push(String::new());
    }
    for names in [pods, services] {
        *names = names
            .iter()
            .flat_map(|name| match namespace(name) {
                Some(_) => vec![name.clone()],
                None => namespaces.iter().map(|namespace| format!("{namespace}/{name}")).collect(),
            })
            .collect();
    }
}
