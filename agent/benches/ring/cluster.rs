//! 244 pods in 21 namespaces, seven labels each, and events between them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use palomar_agent::decode::KernelEvent;
use palomar_agent::directory::{Directory, PodEntry};
use palomar_bpf::abi::PolicyWord;
use palomar_model::drop_reason::DropReason;
use palomar_model::flow::{Event, FlowEndpoint};
use palomar_model::identity::Identity;
use palomar_model::labels::{Label, LabelSet};
use palomar_model::object::{ObjectName, Workload};
use palomar_model::packet::{TcpFlags, Transport};
use palomar_model::verdict::{ConnectionState, Direction, ObservationPoint, Verdict};
use palomar_model::world::Pod;

const PODS: u32 = 244;
const EVENTS: u32 = 65_536;

fn address(pod: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + pod + 1).into()
}

/// Who is who.
pub fn directory() -> Directory {
    let mut directory = Directory::empty(Arc::from("node-1"), Arc::from("default"));
    for n in 0..PODS {
        let name = ObjectName::new(format!("team-{}", n % 21), format!("backend-service-{n}"));
        let labels = ["app", "version", "tier", "team", "release", "component", "part-of"]
            .map(|key| Label::k8s(format!("app.kubernetes.io/{key}"), format!("{key}-{}", n % 40)));
        let entry = PodEntry {
            pod: Arc::new(Pod {
                uid: n.to_string(),
                node: "node-1".into(),
                addresses: vec![address(n)],
                ..Pod::new(name.clone())
            }),
            internal_identity: 100 + n,
            flow_endpoint: Arc::new(FlowEndpoint {
                id: 10 + n,
                identity: Identity(1_000 + n),
                labels: LabelSet::new(labels.into()),
                workload: Some(Workload { name: format!("backend-service-{n}"), kind: "Deployment".into() }),
                pod: Some(name),
                cluster: Arc::from("default"),
            }),
        };
        directory.addresses.insert(address(n), Arc::new(entry));
    }
    directory
}

/// Events of which one in ten is a drop.
pub fn events() -> Vec<KernelEvent> {
    (0..EVENTS)
        .map(|n| {
            let mixed = n.wrapping_mul(0x9e37_79b9) >> 8;
            let (source, destination) = (mixed % PODS, if n % 100 == 0 { 3 } else { mixed / PODS % PODS });
            let dropped = n % 10 == 7;
            KernelEvent {
                monotonic_ns: u64::from(n) * 1_000,
                event: if dropped {
                    Event::Drop(DropReason::INVALID_SOURCE_IP)
                } else {
                    Event::Trace(ObservationPoint::ToEndpoint)
                },
                verdict: if dropped { Verdict::Dropped } else { Verdict::Forwarded },
                state: ConnectionState::New,
                direction: Direction::Ingress,
                source_address: address(source),
                destination_address: address(destination),
                transport: Transport::Tcp {
                    source: 40_000,
                    destination: 8_080,
                    flags: TcpFlags(TcpFlags::SYN),
                },
                source_masked: false,
                source_identity: 100 + source,
                destination_identity: 100 + destination,
                ifindex: 10 + destination,
                endpoint: 10 + destination,
                policy: PolicyWord::default(),
                rule_set: 0,
                class_rule_set: 0,
                class: 0,
            }
        })
        .collect()
}
