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

    /// Refuses names whose own namespace is another than those given, and services in another namespace than pods.
    /// Says all that is wrong, a line each.
    pub fn check(&self, filter: &FlowFilter) -> Result<(), String> {
        let sources = [&filter.source_pod, &filter.source_service];
        let destinations = [&filter.destination_pod, &filter.destination_service];
        let either = sources.into_iter().chain(destinations).map(|names| contained(&self.either, names));
        let source = sources.into_iter().map(|names| contained(&self.source, names));
        let destination = destinations.into_iter().map(|names| contained(&self.destination, names));
        let services = [sources, destinations].into_iter().map(|[pods, services]| same(pods, services));
        let checks = either.chain(source).chain(destination).chain(services);
        let wrong: Vec<String> = checks.filter_map(Result::err).collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
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

/// The namespace of a name, if it says one that is not empty.
fn namespace(name: &str) -> Option<&str> {
    name.split_once('/').map(|(namespace, _)| namespace).filter(|namespace| !namespace.is_empty())
}

/// Each namespace has to be that of every name that has one, as in Hubble: with two namespaces no name may have its
/// own.
fn contained(namespaces: &[String], names: &[String]) -> Result<(), String> {
    for known in namespaces {
        if let Some(name) = names.iter().find(|name| namespace(name).is_some_and(|own| own != known)) {
            return Err(format!("namespace conflict: {} does not contain {}", Quoted(known), Quoted(name)));
        }
    }
    Ok(())
}

fn same(pods: &[String], services: &[String]) -> Result<(), String> {
    for pod in pods.iter().filter_map(|pod| namespace(pod)) {
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
            .flat_map(|name| {
                if name.contains('/') {
                    return vec![name.clone()];
                }
                namespaces.iter().map(|namespace| format!("{namespace}/{name}")).collect()
            })
            .collect();
    }
}
