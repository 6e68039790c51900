//! Out of a line of JSON or an encoded message, of which only what is shown is read.

use std::borrow::Cow;

use palomar_proto::flow::{
    AuthType, DebugCapturePoint, L7FlowType, SocketTranslationPoint, TrafficDirection, Verdict,
};

use super::{End, Layer7, Record, Shown, Source};

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

/// The place of the flow among them.
pub const FLOW_PATH: usize = Path::Flow as usize;

/// What comes again and again from flow to flow.
pub const REPEATED: &[&str] = &["flow.emitter", "flow.source", "flow.destination", "flow.node_labels"];

impl<'a> Shown<'a> {
    /// The flow of a response; `None` if that is about something else.
    pub fn of_source(line: impl Source<'a>) -> Option<Self> {
        line.has(Path::Flow as usize).then_some(())?;
        let text = |path: Path| line.text(path as usize);
        let layer7 = line.has(Path::Layer7 as usize).then(|| Layer7 {
            kind: line
                .named(Path::Layer7Kind as usize, |name| L7FlowType::from_str_name(name).map(i32::from)),
            record: record(line),
        });
        Some(Self {
            is_reply: line.flag(Path::IsReply as usize),
            ends: [source(line), destination(line)],
            verdict: line.named(Path::Verdict as usize, |name| Verdict::from_str_name(name).map(i32::from)),
            event: (line.integer(Path::EventType as usize), line.integer(Path::EventSubType as usize)),
            layer7,
            direction: line
                .named(Path::Direction as usize, |name| TrafficDirection::from_str_name(name).map(i32::from)),
            match_type: number(line, Path::MatchType),
            capture_point: line.named(Path::CapturePoint as usize, |name| {
                DebugCapturePoint::from_str_name(name).map(i32::from)
            }),
            translation_point: line.named(Path::TranslationPoint as usize, |name| {
                SocketTranslationPoint::from_str_name(name).map(i32::from)
            }),
            auth: line.named(Path::Auth as usize, |name| AuthType::from_str_name(name).map(i32::from)),
            ip_trace_id: line.number(Path::IpTraceId as usize),
            summary: text(Path::Summary),
            allowed_by: &[],
            denied_by: &[],
        })
    }

    /// Time and node of a response.
    pub fn envelope_of_source(line: impl Source<'a>) -> (Option<(i64, i32)>, Cow<'a, str>) {
        (line.time(Path::Time as usize), line.text(Path::NodeName as usize))
    }
}

fn number<'a>(line: impl Source<'a>, path: Path) -> u32 {
    u32::try_from(line.number(path as usize)).unwrap_or(0)
}

fn record<'a>(line: impl Source<'a>) -> Record<'a> {
    let has = |path: Path| line.has(path as usize);
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

fn source<'a>(line: impl Source<'a>) -> End<'a> {
    let service = (Path::SourceService, Path::SourceServiceName, Path::SourceServiceNamespace);
    End {
        identity: number(line, Path::SourceIdentity),
        address: line.has(Path::Ip as usize).then(|| line.text(Path::IpSource as usize)),
        ethernet: line.text(Path::EthernetSource as usize),
        port: port(line, [Path::TcpSource, Path::UdpSource, Path::SctpSource]),
        pod: line.text(Path::SourcePod as usize),
        names: line.names(Path::SourceNames as usize),
        ..of_service(line, service, Path::SourceNamespace)
    }
}

fn destination<'a>(line: impl Source<'a>) -> End<'a> {
    let service = (Path::DestinationService, Path::DestinationServiceName, Path::DestinationServiceNamespace);
    End {
        identity: number(line, Path::DestinationIdentity),
        address: line.has(Path::Ip as usize).then(|| line.text(Path::IpDestination as usize)),
        ethernet: line.text(Path::EthernetDestination as usize),
        port: port(line, [Path::TcpDestination, Path::UdpDestination, Path::SctpDestination]),
        pod: line.text(Path::DestinationPod as usize),
        names: line.names(Path::DestinationNames as usize),
        ..of_service(line, service, Path::DestinationNamespace)
    }
}

/// Service and namespace: a service message sets the namespace even where it has none.
fn of_service<'a>(
    line: impl Source<'a>,
    (service, name, namespace): (Path, Path, Path),
    own: Path,
) -> End<'a> {
    let has_service = line.has(service as usize);
    End {
        service: line.text(name as usize),
        namespace: line.text(if has_service { namespace } else { own } as usize),
        ..End::default()
    }
}

fn port<'a>(line: impl Source<'a>, paths: [Path; 3]) -> u32 {
    paths.into_iter().find(|path| line.has(*path as usize)).map_or(0, |path| number(line, path))
}
