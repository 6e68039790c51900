//! Out of a line of JSON, of which only what is shown is read.

use std::borrow::Cow;

use palomar_flow::json::Picked;
use palomar_proto::flow::{
    AuthType, DebugCapturePoint, L7FlowType, SocketTranslationPoint, TrafficDirection, Verdict,
};

use super::{End, Layer7, Names, Record, Shown};

macro_rules! paths {
    ($($name:ident = $path:literal),+ $(,)?) => {
        #[derive(Debug, Clone, Copy)]
        enum Path {
            $($name),+
        }

        /// What is picked of a line.
        pub const PATHS: &[&str] = &[$($path),+];
    };
}

paths! {
    Flow = "flow",
    Verdict = "flow.verdict",
    Auth = "flow.auth_type",
    EthernetSource = "flow.ethernet.source",
    EthernetDestination = "flow.ethernet.destination",
    Ip = "flow.IP",
    IpSource = "flow.IP.source",
    IpDestination = "flow.IP.destination",
    TcpSource = "flow.l4.TCP.source_port",
    TcpDestination = "flow.l4.TCP.destination_port",
    UdpSource = "flow.l4.UDP.source_port",
    UdpDestination = "flow.l4.UDP.destination_port",
    SctpSource = "flow.l4.SCTP.source_port",
    SctpDestination = "flow.l4.SCTP.destination_port",
    SourceIdentity = "flow.source.identity",
    SourceNamespace = "flow.source.namespace",
    SourcePod = "flow.source.pod_name",
    DestinationIdentity = "flow.destination.identity",
    DestinationNamespace = "flow.destination.namespace",
    DestinationPod = "flow.destination.pod_name",
    SourceNames = "flow.source_names",
    DestinationNames = "flow.destination_names",
    Layer7 = "flow.l7",
    Layer7Kind = "flow.l7.type",
    Dns = "flow.l7.dns",
    DnsSource = "flow.l7.dns.observation_source",
    Http = "flow.l7.http",
    Kafka = "flow.l7.kafka",
    EventType = "flow.event_type.type",
    EventSubType = "flow.event_type.sub_type",
    SourceService = "flow.source_service",
    SourceServiceName = "flow.source_service.name",
    SourceServiceNamespace = "flow.source_service.namespace",
    DestinationService = "flow.destination_service",
    DestinationServiceName = "flow.destination_service.name",
    DestinationServiceNamespace = "flow.destination_service.namespace",
    Direction = "flow.traffic_direction",
    MatchType = "flow.policy_match_type",
    IpTraceId = "flow.ip_trace_id.trace_id",
    IsReply = "flow.is_reply",
    CapturePoint = "flow.debug_capture_point",
    TranslationPoint = "flow.sock_xlate_point",
    Summary = "flow.Summary",
    NodeName = "node_name",
    Time = "time",
}

/// What comes again and again from flow to flow.
pub const REPEATED: &[&str] = &["flow.emitter", "flow.source", "flow.destination", "flow.node_labels"];

impl<'a> Shown<'a> {
    /// The flow of a line; `None` if the line is about something else.
    pub fn of_line(line: Picked<'a>) -> Option<Self> {
        line.raw(Path::Flow as usize)?;
        let text = |path: Path| line.text(path as usize);
        let layer7 = line.raw(Path::Layer7 as usize).map(|_| Layer7 {
            kind: number_of(&text(Path::Layer7Kind), |name| L7FlowType::from_str_name(name).map(i32::from)),
            record: record(line),
        });
        Some(Self {
            is_reply: line.flag(Path::IsReply as usize),
            ends: [source(line), destination(line)],
            verdict: number_of(&text(Path::Verdict), |name| Verdict::from_str_name(name).map(i32::from)),
            event: (line.integer(Path::EventType as usize), line.integer(Path::EventSubType as usize)),
            layer7,
            direction: number_of(&text(Path::Direction), |name| {
                TrafficDirection::from_str_name(name).map(i32::from)
            }),
            match_type: number(line, Path::MatchType),
            capture_point: number_of(&text(Path::CapturePoint), |name| {
                DebugCapturePoint::from_str_name(name).map(i32::from)
            }),
            translation_point: number_of(&text(Path::TranslationPoint), |name| {
                SocketTranslationPoint::from_str_name(name).map(i32::from)
            }),
            auth: number_of(&text(Path::Auth), |name| AuthType::from_str_name(name).map(i32::from)),
            ip_trace_id: line.number(Path::IpTraceId as usize),
            summary: text(Path::Summary),
            allowed_by: &[],
            denied_by: &[],
        })
    }

    /// Time and node of a line's response.
    pub fn envelope_of_line(line: Picked<'a>) -> (Option<(i64, i32)>, Cow<'a, str>) {
        (line.time(Path::Time as usize), line.text(Path::NodeName as usize))
    }
}

/// The number of an enum's name; zero for none, as where the flow has no such field.
fn number_of(name: &str, find: impl Fn(&str) -> Option<i32>) -> i32 {
    if name.is_empty() { 0 } else { find(name).unwrap_or(0) }
}

fn number(line: Picked<'_>, path: Path) -> u32 {
    u32::try_from(line.number(path as usize)).unwrap_or(0)
}

fn record(line: Picked<'_>) -> Record<'_> {
    let has = |path: Path| line.raw(path as usize).is_some();
    if has(Path::Dns) {
        Record::Dns(line.text(Path::DnsSource as usize))
    } else if has(Path::Http) {
        Record::Http
    } else if has(Path::Kafka) {
        Record::Kafka
    } else {
        Record::Other
    }
}

fn source(line: Picked<'_>) -> End<'_> {
    let service = (Path::SourceService, Path::SourceServiceName, Path::SourceServiceNamespace);
    End {
        identity: number(line, Path::SourceIdentity),
        address: line.raw(Path::Ip as usize).map(|_| line.text(Path::IpSource as usize)),
        ethernet: line.text(Path::EthernetSource as usize),
        port: port(line, [Path::TcpSource, Path::UdpSource, Path::SctpSource]),
        pod: line.text(Path::SourcePod as usize),
        names: names(line, Path::SourceNames),
        ..of_service(line, service, Path::SourceNamespace)
    }
}

fn destination(line: Picked<'_>) -> End<'_> {
    let service = (Path::DestinationService, Path::DestinationServiceName, Path::DestinationServiceNamespace);
    End {
        identity: number(line, Path::DestinationIdentity),
        address: line.raw(Path::Ip as usize).map(|_| line.text(Path::IpDestination as usize)),
        ethernet: line.text(Path::EthernetDestination as usize),
        port: port(line, [Path::TcpDestination, Path::UdpDestination, Path::SctpDestination]),
        pod: line.text(Path::DestinationPod as usize),
        names: names(line, Path::DestinationNames),
        ..of_service(line, service, Path::DestinationNamespace)
    }
}

/// Service and namespace: a service message sets the namespace even where it has none.
fn of_service(line: Picked<'_>, (service, name, namespace): (Path, Path, Path), own: Path) -> End<'_> {
    let has_service = line.raw(service as usize).is_some();
    End {
        service: line.text(name as usize),
        namespace: line.text(if has_service { namespace } else { own } as usize),
        ..End::default()
    }
}

fn names(line: Picked<'_>, path: Path) -> Names<'_> {
    line.raw(path as usize).map_or(Names::None, |_| Names::Line(line, path as usize))
}

fn port(line: Picked<'_>, paths: [Path; 3]) -> u32 {
    paths.into_iter().find(|path| line.raw(*path as usize).is_some()).map_or(0, |path| number(line, path))
}
