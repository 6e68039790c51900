//! What an agent did: policies, endpoints, addresses, services.

use palomar_proto::flow::agent_event::Notification;
use palomar_proto::flow::{
    AgentEvent, AgentEventType as Type, EndpointRegenNotification, EndpointUpdateNotification,
    IpCacheNotification, ServiceUpsertNotification, ServiceUpsertNotificationAddr,
};
use palomar_proto::observer::GetAgentEventsResponse;

use super::escape::escape;
use super::event::enum_name;
use super::event_printer::EventResponse;
use super::printer::{Envelope, Options};
use crate::time::TimeFormat;

impl EventResponse for GetAgentEventsResponse {
    type Event = AgentEvent;

    const HEADER: &'static [&'static str] = &["TYPE", "DETAILS"];
    const NO_EVENT: &'static str = "not an agent event";

    fn event(&self) -> Option<&AgentEvent> {
        self.agent_event.as_ref()
    }

    fn envelope(&self) -> Envelope<'_> {
        Envelope::new(&self.node_name, self.time.as_ref())
    }

    fn line(event: &AgentEvent, options: Options) -> String {
        format!("{} ({})", kind(event), escape(&details(event, options.time)))
    }

    fn fields(event: &AgentEvent, options: Options) -> Vec<(&'static str, String)> {
        vec![("TYPE", kind(event)), ("DETAILS", escape(&details(event, options.time)).into_owned())]
    }

    fn cells(event: &AgentEvent, options: Options) -> Vec<String> {
        vec![kind(event), escape(&details(event, options.time)).into_owned()]
    }
}

fn kind(event: &AgentEvent) -> String {
    enum_name(event.r#type, Type::as_str_name)
}

/// The notification in a few words, not escaped; `UNKNOWN` if it is not the one that the type promises.
fn details(event: &AgentEvent, time: TimeFormat) -> String {
    let kind = Type::try_from(event.r#type);
    match (kind, &event.notification) {
        (Ok(Type::AgentEventUnknown), Some(Notification::Unknown(unknown))) => {
            format!("type: {}, notification: {}", unknown.r#type, unknown.notification)
        }
        (Ok(Type::AgentStarted), Some(Notification::AgentStart(start))) => {
            format!("start time: {}", time.print(start.time.as_ref()))
        }
        (Ok(Type::PolicyUpdated | Type::PolicyDeleted), Some(Notification::PolicyUpdate(policy))) => format!(
            "labels: [{}], revision: {}, count: {}",
            policy.labels.join(","),
            policy.revision,
            policy.rule_count
        ),
        (
            Ok(Type::EndpointRegenerateSuccess | Type::EndpointRegenerateFailure),
            Some(Notification::EndpointRegenerate(endpoint)),
        ) => regenerated(endpoint),
        (Ok(Type::EndpointCreated | Type::EndpointDeleted), Some(Notification::EndpointUpdate(endpoint))) => {
            updated(endpoint)
        }
        (Ok(Type::IpcacheUpserted | Type::IpcacheDeleted), Some(Notification::IpcacheUpdate(entry))) => {
            ipcache(entry)
        }
        (Ok(Type::ServiceUpserted), Some(Notification::ServiceUpsert(service))) => upserted(service),
        (Ok(Type::ServiceDeleted), Some(Notification::ServiceDelete(service))) => {
            format!("id: {}", service.id)
        }
        _ => "UNKNOWN".to_owned(),
    }
}

fn regenerated(endpoint: &EndpointRegenNotification) -> String {
    let text = format!("id: {}, labels: [{}]", endpoint.id, endpoint.labels.join(","));
    text + &part("error", &endpoint.error)
}

fn updated(endpoint: &EndpointUpdateNotification) -> String {
    let text = format!("id: {}", endpoint.id);
    text + &part("namespace", &endpoint.namespace) + &part("pod name", &endpoint.pod_name)
}

fn ipcache(entry: &IpCacheNotification) -> String {
    let text = format!("cidr: {}, identity: {}", entry.cidr, entry.identity);
    let old = entry.old_identity.map_or_else(String::new, |old| format!(", old identity: {old}"));
    let hosts = part("host ip", &entry.host_ip) + &part("old host ip", &entry.old_host_ip);
    format!("{text}{old}{hosts}, encrypt key: {}", entry.encrypt_key)
}

fn upserted(service: &ServiceUpsertNotification) -> String {
    let mut text = format!("id: {}", service.id);
    if let Some(frontend) = &service.frontend_address {
        text.push_str(&part("frontend", &address(frontend)));
    }
    if !service.backend_addresses.is_empty() {
        let backends: Vec<String> = service.backend_addresses.iter().map(address).collect();
        text.push_str(&part("backends", &format!("[{}]", backends.join(","))));
    }
    text + &part("type", &service.r#type)
        + &part("traffic policy", &service.traffic_policy)
        + &part("namespace", &service.namespace)
        + &part("name", &service.name)
}

fn address(address: &ServiceUpsertNotificationAddr) -> String {
    let ServiceUpsertNotificationAddr { ip, port } = address;
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// `, name: value`; nothing for an empty value.
fn part(name: &str, value: &str) -> String {
    if value.is_empty() { String::new() } else { format!(", {name}: {value}") }
}
