//! A flow in a line of JSON, of which no more is read than is asked for.

use std::borrow::Cow;
use std::cell::OnceCell;

use palomar_proto::flow::{DropReason, Endpoint, Flow, IpVersion, Layer7, TrafficDirection, Verdict};
use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;

use super::{Address, FlowView, Part, Side, TcpFlagBits, Transport, Uuid};
use crate::json::{self, JsonMessage, Picked};

macro_rules! paths {
    ($($name:ident = $path:literal),+ $(,)?) => {
        #[derive(Debug, Clone, Copy)]
        enum Path {
            $($name),+
        }

        impl Path {
            const ALL: &[&str] = &[$($path),+];
        }
    };
}

paths! {
    Uuid = "flow.uuid",
    Verdict = "flow.verdict",
    IpSource = "flow.IP.source",
    IpSourceTranslated = "flow.IP.source_xlated",
    IpDestination = "flow.IP.destination",
    IpVersion = "flow.IP.ipVersion",
    IpEncrypted = "flow.IP.encrypted",
    Tcp = "flow.l4.TCP",
    TcpSource = "flow.l4.TCP.source_port",
    TcpDestination = "flow.l4.TCP.destination_port",
    TcpFlags = "flow.l4.TCP.flags",
    Udp = "flow.l4.UDP",
    UdpSource = "flow.l4.UDP.source_port",
    UdpDestination = "flow.l4.UDP.destination_port",
    Sctp = "flow.l4.SCTP",
    SctpSource = "flow.l4.SCTP.source_port",
    SctpDestination = "flow.l4.SCTP.destination_port",
    Icmpv4 = "flow.l4.ICMPv4",
    Icmpv6 = "flow.l4.ICMPv6",
    Vrrp = "flow.l4.VRRP",
    Igmp = "flow.l4.IGMP",
    Source = "flow.source",
    Destination = "flow.destination",
    NodeName = "flow.node_name",
    NodeLabels = "flow.node_labels",
    SourceNames = "flow.source_names",
    DestinationNames = "flow.destination_names",
    Layer7 = "flow.l7",
    Event = "flow.event_type",
    EventType = "flow.event_type.type",
    EventSubType = "flow.event_type.sub_type",
    SourceService = "flow.source_service",
    SourceServiceName = "flow.source_service.name",
    SourceServiceNamespace = "flow.source_service.namespace",
    DestinationService = "flow.destination_service",
    DestinationServiceName = "flow.destination_service.name",
    DestinationServiceNamespace = "flow.destination_service.namespace",
    Direction = "flow.traffic_direction",
    TraceId = "flow.trace_context.parent.trace_id",
    IpTraceId = "flow.ip_trace_id.trace_id",
    DropReason = "flow.drop_reason_desc",
    IsReply = "flow.is_reply",
    Interface = "flow.interface",
    InterfaceIndex = "flow.interface.index",
    InterfaceName = "flow.interface.name",
}

/// The bits of the flags in the order of [`TcpFlagBits`].
const FLAGS: [&str; 9] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS"];

/// Where a picker has what a [`LineFlow`] reads.
#[derive(Debug, Clone)]
pub struct LinePaths(Vec<usize>);

/// The flow of a line. A line about something else reads as a flow without anything.
#[derive(Debug)]
pub struct LineFlow<'a> {
    line: Picked<'a>,
    places: &'a LinePaths,
    read: Read<'a>,
}

/// What was read so far: texts that have to be decoded, and messages.
#[derive(Debug, Default)]
struct Read<'a> {
    uuid: OnceCell<Cow<'a, str>>,
    addresses: [OnceCell<Cow<'a, str>>; 2],
    source_translated: OnceCell<Cow<'a, str>>,
    ends: [OnceCell<Option<Endpoint>>; 2],
    services: [OnceCell<(Cow<'a, str>, Cow<'a, str>)>; 2],
    names: [OnceCell<Vec<Cow<'a, str>>>; 2],
    node_name: OnceCell<Cow<'a, str>>,
    node_labels: OnceCell<Vec<Cow<'a, str>>>,
    interface: OnceCell<Cow<'a, str>>,
    trace_id: OnceCell<Cow<'a, str>>,
    layer7: OnceCell<Option<Layer7>>,
}

// === impl LinePaths ===

impl LinePaths {
    /// The paths that have to be among a picker's.
    pub const ALL: &'static [&'static str] = Path::ALL;

    /// Their places in the list of a picker.
    ///
    /// # Panics
    ///
    /// If the list has not all of them: lists are part of the program.
    pub fn within(list: &[&str]) -> Self {
        let place = |path: &&str| list.iter().position(|known| known == path);
        let places: Option<Vec<usize>> = Path::ALL.iter().map(place).collect();
        Self(places.expect("the list has every path of a flow"))
    }

    fn of(&self, path: Path) -> usize {
        self.0[path as usize]
    }
}

// === impl LineFlow ===

impl<'a> LineFlow<'a> {
    /// The flow of a line that was picked with these paths.
    pub fn new(line: Picked<'a>, places: &'a LinePaths) -> Self {
        Self { line, places, read: Read::default() }
    }

    fn has(&self, path: Path) -> bool {
        self.line.has(self.places.of(path))
    }

    fn text(&self, path: Path) -> Cow<'a, str> {
        self.line.text(self.places.of(path))
    }

    fn number(&self, path: Path) -> u32 {
        u32::try_from(self.line.number(self.places.of(path))).unwrap_or(0)
    }

    fn integer(&self, path: Path) -> i32 {
        self.line.integer(self.places.of(path))
    }

    /// The number of an enum's name; zero for none.
    fn named<E: Into<i32>>(&self, path: Path, find: impl Fn(&str) -> Option<E>) -> i32 {
        if self.has(path) { find(&self.text(path)).map_or(0, Into::into) } else { 0 }
    }

    /// A message inside. What a picker lets pass is well-formed.
    fn inner<M: JsonMessage>(&self, path: Path) -> Option<M> {
        let raw = self.line.raw(self.places.of(path))?;
        json::parse(raw).ok().map(|parsed| parsed.message)
    }

    /// What stands behind `,"NAME":` or `{"NAME":` is always `true`, as flags that are not set are left out.
    fn flags(&self) -> Option<TcpFlagBits> {
        let raw = self.line.raw(self.places.of(Path::TcpFlags))?;
        let bit = |name: &str| FLAGS.iter().position(|flag| *flag == name).map_or(0, |at| 1 << at);
        Some(raw.split('"').skip(1).step_by(2).map(bit).sum())
    }

    fn ports(&self, source: Path, destination: Path) -> (u32, u32) {
        (self.number(source), self.number(destination))
    }
}

impl FlowView for &LineFlow<'_> {
    type Endpoint = Endpoint;

    /// Reads the whole line, each time.
    fn message(&self) -> Option<Cow<'_, Flow>> {
        match json::parse::<GetFlowsResponse>(self.line.line()).ok()?.message.response_types? {
            ResponseTypes::Flow(flow) => Some(Cow::Owned(flow)),
            ResponseTypes::NodeStatus(_) | ResponseTypes::LostEvents(_) => None,
        }
    }

    fn endpoint(&self, side: Side) -> Option<&Endpoint> {
        let path = side.of(Path::Source, Path::Destination);
        self.read.ends[side as usize].get_or_init(|| self.inner(path)).as_ref()
    }

    fn key(&self, part: Part) -> Option<u64> {
        match part {
            Part::End(side) => {
                let path = side.of(Path::Source, Path::Destination);
                self.line.repeated(self.places.of(path))
            }
            Part::Service(side) => {
                (!self.has(side.of(Path::SourceService, Path::DestinationService))).then_some(0)
            }
            Part::Port(side) => {
                let path = [
                    (Path::Tcp, Path::TcpSource, Path::TcpDestination),
                    (Path::Udp, Path::UdpSource, Path::UdpDestination),
                    (Path::Sctp, Path::SctpSource, Path::SctpDestination),
                ]
                .into_iter()
                .find(|(transport, ..)| self.has(*transport));
                // that a transport has no ports is a value as well
                let none = u64::from(u32::MAX) + 1;
                Some(path.map_or(none, |(_, source, destination)| {
                    self.number(side.of(source, destination)).into()
                }))
            }
            Part::Address(_) | Part::Node | Part::Interface | Part::Event | Part::Header | Part::Other => {
                None
            }
        }
    }

    fn service(&self, side: Side) -> Option<(&str, &str)> {
        let [service, name, namespace] = side.of(
            [Path::SourceService, Path::SourceServiceName, Path::SourceServiceNamespace],
            [Path::DestinationService, Path::DestinationServiceName, Path::DestinationServiceNamespace],
        );
        if !self.has(service) {
            return None;
        }
        let read = self.read.services[side as usize].get_or_init(|| (self.text(namespace), self.text(name)));
        Some((&read.0, &read.1))
    }

    fn address(&self, side: Side) -> Address<'_> {
        let path = side.of(Path::IpSource, Path::IpDestination);
        Address::Text(self.read.addresses[side as usize].get_or_init(|| self.text(path)))
    }

    fn source_translated(&self) -> Address<'_> {
        Address::Text(self.read.source_translated.get_or_init(|| self.text(Path::IpSourceTranslated)))
    }

    fn ip_version(&self) -> i32 {
        self.named(Path::IpVersion, IpVersion::from_str_name)
    }

    fn encrypted(&self) -> bool {
        self.has(Path::IpEncrypted)
    }

    fn transport(&self) -> Option<Transport> {
        let has = |path| self.has(path);
        Some(if has(Path::Tcp) {
            Transport::Tcp { ports: self.ports(Path::TcpSource, Path::TcpDestination), flags: self.flags() }
        } else if has(Path::Udp) {
            Transport::Udp { ports: self.ports(Path::UdpSource, Path::UdpDestination) }
        } else if has(Path::Sctp) {
            Transport::Sctp { ports: self.ports(Path::SctpSource, Path::SctpDestination) }
        } else if has(Path::Icmpv4) {
            Transport::IcmpV4
        } else if has(Path::Icmpv6) {
            Transport::IcmpV6
        } else if has(Path::Vrrp) {
            Transport::Vrrp
        } else if has(Path::Igmp) {
            Transport::Igmp
        } else {
            return None;
        })
    }

    fn layer7(&self) -> Option<&Layer7> {
        self.read.layer7.get_or_init(|| self.inner(Path::Layer7)).as_ref()
    }

    fn names(&self, side: Side) -> impl Iterator<Item = &str> {
        let path = side.of(Path::SourceNames, Path::DestinationNames);
        let read = &self.read.names[side as usize];
        read.get_or_init(|| self.line.texts(self.places.of(path))).iter().map(|name| &**name)
    }

    fn uuid(&self) -> Uuid<'_> {
        Uuid::Text(self.read.uuid.get_or_init(|| self.text(Path::Uuid)))
    }

    fn event_type(&self) -> Option<(i32, i32)> {
        let event = || (self.integer(Path::EventType), self.integer(Path::EventSubType));
        self.has(Path::Event).then(event)
    }

    fn verdict(&self) -> i32 {
        self.named(Path::Verdict, Verdict::from_str_name)
    }

    fn drop_reason(&self) -> i32 {
        self.named(Path::DropReason, DropReason::from_str_name)
    }

    fn is_reply(&self) -> Option<bool> {
        self.line.flag(self.places.of(Path::IsReply))
    }

    fn traffic_direction(&self) -> i32 {
        self.named(Path::Direction, TrafficDirection::from_str_name)
    }

    fn interface(&self) -> Option<(u32, &str)> {
        let name = || self.read.interface.get_or_init(|| self.text(Path::InterfaceName));
        self.has(Path::Interface).then(|| (self.number(Path::InterfaceIndex), &**name()))
    }

    fn node_name(&self) -> &str {
        self.read.node_name.get_or_init(|| self.text(Path::NodeName))
    }

    fn node_labels(&self) -> impl Iterator<Item = &str> {
        let read = &self.read.node_labels;
        read.get_or_init(|| self.line.texts(self.places.of(Path::NodeLabels))).iter().map(|label| &**label)
    }

    fn trace_id(&self) -> &str {
        self.read.trace_id.get_or_init(|| self.text(Path::TraceId))
    }

    fn ip_trace_id(&self) -> u64 {
        self.line.number(self.places.of(Path::IpTraceId))
    }
}
