//! An agent's event as Hubble's message.

use ipnet::IpNet;
use palomar_flow::convert::timestamp;
use palomar_model::labels::{Label, LabelSet};
use palomar_model::object::ObjectName;
use palomar_proto::flow::agent_event::Notification;
use palomar_proto::flow::{
    self as proto, AgentEventType as Type, AgentEventUnknown, EndpointRegenNotification,
    EndpointUpdateNotification, IpCacheNotification, PolicyUpdateNotification, TimeNotification,
};
use palomar_proto::observer::GetAgentEventsResponse;

use crate::events::{AddressEvent, AgentEvent, EndpointEvent, PolicyEvent, Regeneration, Told};

/// The response that tells it.
pub fn response(told: &Told, node_name: &str) -> GetAgentEventsResponse {
    let Told { time_ns, event } = told;
    let (kind, notification) = match event {
        AgentEvent::Started => (
            Type::AgentStarted,
            Notification::AgentStart(TimeNotification { time: Some(timestamp(*time_ns)) }),
        ),
        AgentEvent::PolicyUpdated(policy) => {
            (Type::PolicyUpdated, Notification::PolicyUpdate(self::policy(policy)))
        }
        AgentEvent::PolicyDeleted(policy) => {
            (Type::PolicyDeleted, Notification::PolicyUpdate(self::policy(policy)))
        }
        AgentEvent::EndpointCreated(endpoint) => {
            (Type::EndpointCreated, Notification::EndpointUpdate(self::endpoint(endpoint)))
        }
        AgentEvent::EndpointDeleted(endpoint) => {
            (Type::EndpointDeleted, Notification::EndpointUpdate(self::endpoint(endpoint)))
        }
        AgentEvent::Regenerated(Regeneration { id, labels, error }) => {
            let kind = match error {
                None => Type::EndpointRegenerateSuccess,
                Some(_) => Type::EndpointRegenerateFailure,
            };
            let notification = EndpointRegenNotification {
                id: (*id).into(),
                labels: labels.to_strings(),
                error: error.clone().unwrap_or_default(),
            };
            (kind, Notification::EndpointRegenerate(notification))
        }
        AgentEvent::AddressUpserted(address) => {
            (Type::IpcacheUpserted, Notification::IpcacheUpdate(self::address(address)))
        }
        AgentEvent::AddressDeleted(address) => {
            (Type::IpcacheDeleted, Notification::IpcacheUpdate(self::address(address)))
        }
    };
    of(kind, notification, *time_ns, node_name)
}

/// The response that tells how many events a reader missed. Hubble's message has no place for it: it is told as an event
/// of an unknown kind, with what `GetFlows` would say as its JSON.
pub fn lost(count: u64, time_ns: i64, node_name: &str) -> GetAgentEventsResponse {
    let unknown = AgentEventUnknown {
        r#type: "lost_events".to_owned(),
        notification: format!(r#"{{"source":"HUBBLE_RING_BUFFER","num_events_lost":"{count}"}}"#),
    };
    of(Type::AgentEventUnknown, Notification::Unknown(unknown), time_ns, node_name)
}

fn of(kind: Type, notification: Notification, time_ns: i64, node_name: &str) -> GetAgentEventsResponse {
    GetAgentEventsResponse {
        agent_event: Some(proto::AgentEvent { r#type: kind.into(), notification: Some(notification) }),
        node_name: node_name.to_owned(),
        time: Some(timestamp(time_ns)),
    }
}

fn policy(event: &PolicyEvent) -> PolicyUpdateNotification {
    let PolicyEvent { name: ObjectName { namespace, name }, rules, revision } = event;
    let labels = LabelSet::new(vec![
        Label::k8s("io.cilium.k8s.policy.derived-from", "NetworkPolicy"),
        Label::k8s("io.cilium.k8s.policy.name", name),
        Label::k8s("io.cilium.k8s.policy.namespace", namespace),
    ]);
    PolicyUpdateNotification {
        labels: labels.to_strings(),
        revision: (*revision).into(),
        rule_count: i64::try_from(*rules).unwrap_or(i64::MAX),
    }
}

fn endpoint(event: &EndpointEvent) -> EndpointUpdateNotification {
    let EndpointEvent { id, pod: ObjectName { namespace, name }, labels } = event;
    EndpointUpdateNotification {
        id: (*id).into(),
        labels: labels.to_strings(),
        error: String::new(),
        pod_name: name.clone(),
        namespace: namespace.clone(),
    }
}

fn address(event: &AddressEvent) -> IpCacheNotification {
    let AddressEvent { address, identity, old_identity, host, old_host, pod } = event;
    let (namespace, pod_name) =
        pod.clone().map_or_else(Default::default, |ObjectName { namespace, name }| (namespace, name));
    IpCacheNotification {
        cidr: IpNet::from(*address).to_string(),
        identity: identity.0,
        old_identity: old_identity.map(|old| old.0),
        host_ip: host.map(|host| host.to_string()).unwrap_or_default(),
        old_host_ip: old_host.map(|host| host.to_string()).unwrap_or_default(),
        encrypt_key: 0,
        namespace,
        pod_name,
    }
}
