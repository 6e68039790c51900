//! Out of a line of JSON or an encoded message, of which only what is shown is read.

use std::borrow::Cow;

use palomar_proto::flow::{
    AuthType, DebugCapturePoint, L7FlowType, SocketTranslationPoint, TrafficDirection, Verdict,
};

use palomar_flow::view::Side;

use super::{End, KnownEnds, Layer7, Record, Shown, Source};

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
    Ethernet = "flow.ethernet",
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
    Source = "flow.source",
    SourceIdentity = "flow.source.identity",
    SourceNamespace = "flow.source.namespace",
    SourcePod = "flow.source.pod_name",
    Destination = "flow.destination",
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
    NodeName = "flow.node_name",
    Time = "flow.time",
}

/// The place of the flow among them.
pub const FLOW_PATH: usize = Path::Flow as usize;

/// What comes again and again from flow to flow.
pub const REPEATED: &[&str] = &["flow.emitter", "flow.source", "flow.destination", "flow.node_labels"];

impl<'a> Shown<'a> {
    /// The flow of a response; `None` if that is about something else. `known`, where ends are shown by name: those that
    /// came before are not read again.
    pub fn of_source<'l: 'a>(line: impl Source<'l>, known: Option<&'a mut KnownEnds>) -> Option<Self> {
        line.has(Path::Flow as usize).then_some(())?;
        let mut ends = [None; 2];
        let known = known.map(|known| {
            ends = Side::BOTH.map(|side| {
                number_of(line, side).filter(|number| known.is_known(*number, || end(line, side)))
            });
            &*known
        });
        let end = |side: Side| {
            let known = || known?.end(ends[side as usize]?, port(line, side));
            known().unwrap_or_else(|| end(line, side))
        };
        let text = |path: Path| line.text(path as usize);
        let layer7 = line.has(Path::Layer7 as usize).then(|| Layer7 {
            kind: line
                .named(Path::Layer7Kind as usize, |name| L7FlowType::from_str_name(name).map(i32::from)),
            record: record(line),
        });
        Some(Self {
            is_reply: line.flag(Path::IsReply as usize),
            ends: Side::BOTH.map(end),
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

    /// Time and node that the flow itself has.
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

/// The number of an end that is shown by the name of its pod.
fn number_of<'a>(line: impl Source<'a>, side: Side) -> Option<u64> {
    let has = |path: Path| line.has(path as usize);
    let by_pod = has(Path::Ip) && !has(side.of(Path::SourceService, Path::DestinationService));
    let number = || line.repeated(side.of(Path::Source, Path::Destination) as usize);
    by_pod.then(number)?.filter(|number| *number != 0)
}

fn end<'a>(line: impl Source<'a>, side: Side) -> End<'a> {
    let text = |source: Path, destination: Path| line.text(side.of(source, destination) as usize);
    let address = || text(Path::IpSource, Path::IpDestination);
    let ethernet = || text(Path::EthernetSource, Path::EthernetDestination);
    let has_service = line.has(side.of(Path::SourceService, Path::DestinationService) as usize);
    End {
        identity: number(line, side.of(Path::SourceIdentity, Path::DestinationIdentity)),
        address: line.has(Path::Ip as usize).then(address),
        ethernet: line.has(Path::Ethernet as usize).then(ethernet),
        port: port(line, side),
        pod: text(Path::SourcePod, Path::DestinationPod),
        // a service message sets the namespace even where it has none
        namespace: if has_service {
            text(Path::SourceServiceNamespace, Path::DestinationServiceNamespace)
        } else {
            text(Path::SourceNamespace, Path::DestinationNamespace)
        },
        service: text(Path::SourceServiceName, Path::DestinationServiceName),
        names: line.names(side.of(Path::SourceNames, Path::DestinationNames) as usize),
        known: None,
    }
}

fn port<'a>(line: impl Source<'a>, side: Side) -> u32 {
    let paths = side.of(
        [Path::TcpSource, Path::UdpSource, Path::SctpSource],
        [Path::TcpDestination, Path::UdpDestination, Path::SctpDestination],
    );
    paths.into_iter().find(|path| line.has(*path as usize)).map_or(0, |path| number(line, path))
}
