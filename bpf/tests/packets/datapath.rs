//! The loaded programs with maps of their own, fed by `BPF_PROG_TEST_RUN`: its packets come from interface 1.

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, MapData, PerCpuArray, RingBuf};
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use bytemuck::{AnyBitPattern, cast};
use palomar_bpf::abi::{
    Address, Connection, ConnectionKey, Counter, Direction, Endpoint, Event, Mode, NodePort, PolicyWord,
    Rule, RuleKey, Settings, address_bytes,
};
use std::net::IpAddr;
use std::time::Duration;

mod built {
    include!(concat!(env!("OUT_DIR"), "/objects.rs"));
}

/// `TCX_NEXT`, `TC_ACT_UNSPEC`.
pub const PASS: i32 = -1;
/// `TC_ACT_SHOT`.
pub const DROP: i32 = 2;
/// The interface that test packets belong to.
pub const IFINDEX: u32 = 1;
/// What events show for it.
pub const ENDPOINT: u32 = 77;
/// Identity of the pod behind it.
pub const IDENTITY: u32 = 500;

const CONTEXT_INGRESS_IFINDEX: usize = 36;
const CONTEXT_GSO_SEGMENTS: usize = 164;
const CONTEXT: usize = 192;

/// What a test may change about the load.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub event_interval: Duration,
    pub tcp_opening: Duration,
    pub tcp_established: Duration,
    pub tcp_closed: Duration,
    pub other: Duration,
    pub limit_burst: u32,
    pub limit_refill: Duration,
    pub ring_bytes: u32,
    pub connections: u32,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            event_interval: Duration::from_secs(5),
            tcp_opening: Duration::from_mins(1),
            tcp_established: Duration::from_hours(2),
            tcp_closed: Duration::from_secs(10),
            other: Duration::from_mins(1),
            limit_burst: 10,
            limit_refill: Duration::from_secs(1),
            ring_bytes: 1 << 20,
            connections: 4096,
        }
    }
}

/// How the packet comes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Via {
    /// 0: made on the node.
    pub ingress_ifindex: u32,
    pub gso_segments: u32,
}

pub struct Datapath {
    ebpf: Ebpf,
    ring: RingBuf<MapData>,
    policy: PolicyWord,
    epoch: u32,
}

impl Datapath {
    /// Mode off, nothing isolated.
    pub fn with(load: Load) -> Self {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap();
        let constants = [
            ("cfg_event_interval_ns", nanos(load.event_interval)),
            ("cfg_tcp_opening_ns", nanos(load.tcp_opening)),
            ("cfg_tcp_established_ns", nanos(load.tcp_established)),
            ("cfg_tcp_closed_ns", nanos(load.tcp_closed)),
            ("cfg_other_ns", nanos(load.other)),
            ("cfg_limit_refill_ns", nanos(load.limit_refill)),
        ];
        let mut loader = EbpfLoader::new();
        loader
            .btf(None)
            .map_max_entries("events", load.ring_bytes)
            .map_max_entries("connections", load.connections);
        loader.override_global("cfg_limit_burst", &load.limit_burst, true);
        for (name, value) in &constants {
            loader.override_global(name, value, true);
        }
        let mut ebpf = loader.load(built::POD).unwrap_or_else(|error| refused(&error));
        for name in ["from_pod", "to_pod"] {
            program(&mut ebpf, name).load().unwrap_or_else(|error| refused(&error));
        }
        let ring = RingBuf::try_from(ebpf.take_map("events").unwrap()).unwrap();
        let mut datapath = Self { ebpf, ring, policy: PolicyWord::default(), epoch: 0 };
        datapath.policy(0, 1, 0);
        datapath
    }

    // === state ===

    /// Stores the endpoint's policy word.
    pub fn policy(&mut self, set: u32, revision: u32, flags: u8) {
        self.policy = PolicyWord::new(set, revision, flags).unwrap();
        self.endpoint(Endpoint {
            policy: self.policy,
            unjudged_udp_until: 0,
            id: ENDPOINT,
            identity: IDENTITY,
        });
    }

    /// The same policy under the next revision.
    pub fn next_revision(&mut self) {
        self.policy(self.policy.set(), self.policy.revision() + 1, self.policy.flags());
    }

    pub fn endpoint(&mut self, endpoint: Endpoint) {
        let mut map: Array<_, [u8; 24]> = Array::try_from(self.ebpf.map_mut("endpoints").unwrap()).unwrap();
        map.set(IFINDEX, cast::<_, [u8; 24]>(endpoint), 0).unwrap();
    }

    /// Sets the mode, under the next epoch; the heartbeat never counts.
    pub fn mode(&mut self, mode: Mode) {
        self.settings(mode, 0, 0);
    }

    pub fn settings(&mut self, mode: Mode, heartbeat: u64, stale_after: u64) {
        self.epoch += 1;
        self.settings_in_epoch(mode, heartbeat, stale_after);
    }

    /// As a heartbeat does: the epoch stays.
    pub fn settings_in_epoch(&mut self, mode: Mode, heartbeat: u64, stale_after: u64) {
        let settings = Settings { mode: mode.number(), epoch: self.epoch, heartbeat, stale_after };
        let mut map: Array<_, [u8; 24]> = Array::try_from(self.ebpf.map_mut("settings").unwrap()).unwrap();
        map.set(0, cast::<_, [u8; 24]>(settings), 0).unwrap();
    }

    pub fn address(&mut self, address: IpAddr, value: Address) {
        let mut map: HashMap<_, [u8; 16], [u8; 16]> =
            HashMap::try_from(self.ebpf.map_mut("addresses").unwrap()).unwrap();
        map.insert(address_bytes(address), cast::<_, [u8; 16]>(value), 0).unwrap();
    }

    /// `prefix_len` of the address as it is written, not as it is mapped.
    pub fn cidr(&mut self, address: IpAddr, prefix_len: u32, class: u32) {
        let mut map: LpmTrie<_, [u8; 16], u32> =
            LpmTrie::try_from(self.ebpf.map_mut("cidrs").unwrap()).unwrap();
        let prefix_len = if address.is_ipv4() { 96 + prefix_len } else { prefix_len };
        map.insert(&Key::new(prefix_len, address_bytes(address)), class, 0).unwrap();
    }

    pub fn node_port(&mut self, port: NodePort, backends: u32) {
        let mut map: HashMap<_, [u8; 4], u32> =
            HashMap::try_from(self.ebpf.map_mut("node_ports").unwrap()).unwrap();
        map.insert(cast::<_, [u8; 4]>(port), backends, 0).unwrap();
    }

    /// `prefix_len` of the key goes into the value too.
    pub fn rule(&mut self, key: RuleKey, rule_set: u32) {
        let RuleKey { prefix_len, .. } = key;
        let bytes: [u8; 16] = cast(key);
        let data: [u8; 12] = bytes[4..].try_into().unwrap();
        let mut map: LpmTrie<_, [u8; 12], [u8; 8]> =
            LpmTrie::try_from(self.ebpf.map_mut("rules").unwrap()).unwrap();
        map.insert(&Key::new(prefix_len, data), cast::<_, [u8; 8]>(Rule { rule_set, prefix_len }), 0)
            .unwrap();
    }

    pub fn forget_rule(&mut self, key: RuleKey) {
        let bytes: [u8; 16] = cast(key);
        let data: [u8; 12] = bytes[4..].try_into().unwrap();
        let mut map: LpmTrie<_, [u8; 12], [u8; 8]> =
            LpmTrie::try_from(self.ebpf.map_mut("rules").unwrap()).unwrap();
        map.remove(&Key::new(key.prefix_len, data)).unwrap();
    }

    pub fn forget_connections(&mut self) {
        let keys: Vec<[u8; 44]> =
            self.connections().iter().map(|(key, _)| bytemuck::bytes_of(key).try_into().unwrap()).collect();
        let mut map: HashMap<_, [u8; 44], [u8; 88]> =
            HashMap::try_from(self.ebpf.map_mut("connections").unwrap()).unwrap();
        for key in keys {
            map.remove(&key).unwrap();
        }
    }

    // === packets ===

    pub fn run(&mut self, direction: Direction, frame: &[u8], via: Via) -> i32 {
        self.repeat(direction, frame, via, 1).0
    }

    /// The verdict of the last run, and the mean time of one.
    pub fn repeat(&mut self, direction: Direction, frame: &[u8], via: Via, times: u32) -> (i32, Duration) {
        let mut context = [0; CONTEXT];
        context[CONTEXT_INGRESS_IFINDEX..][..4].copy_from_slice(&via.ingress_ifindex.to_ne_bytes());
        context[CONTEXT_GSO_SEGMENTS..][..4].copy_from_slice(&via.gso_segments.to_ne_bytes());
        let name = if direction == Direction::Egress { "from_pod" } else { "to_pod" };
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_in: Some(&context),
            repeat: times,
            ..Default::default()
        };
        let result = program(&mut self.ebpf, name)
            .test_run(options)
            .expect("invariant: the frame has an Ethernet header");
        (result.return_value.cast_signed(), result.duration)
    }

    /// From the pod.
    pub fn pod_sends(&mut self, frame: &[u8]) -> i32 {
        self.run(Direction::Egress, frame, Via::default())
    }

    /// To the pod, forwarded from another interface.
    pub fn pod_gets(&mut self, frame: &[u8]) -> i32 {
        self.run(Direction::Ingress, frame, Via { ingress_ifindex: 9, ..Via::default() })
    }

    /// To the pod, made on the node.
    pub fn node_sends(&mut self, frame: &[u8]) -> i32 {
        self.run(Direction::Ingress, frame, Via::default())
    }

    // === what came of it ===

    /// The events since the last call.
    pub fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.ring.next().map(|record| Event::read(&record).unwrap())).collect()
    }

    pub fn count(&self, counter: Counter) -> u64 {
        let map: PerCpuArray<_, u64> = PerCpuArray::try_from(self.ebpf.map("counters").unwrap()).unwrap();
        map.get(&counter.number(), 0).unwrap().iter().sum()
    }

    pub fn connections(&self) -> Vec<(ConnectionKey, Connection)> {
        let map: HashMap<_, [u8; 44], [u8; 88]> =
            HashMap::try_from(self.ebpf.map("connections").unwrap()).unwrap();
        map.iter().map(|entry| entry.map(|(key, value)| (read(&key), read(&value))).unwrap()).collect()
    }

    /// Datagrams whose first fragment is remembered.
    pub fn fragments(&self) -> usize {
        let map: HashMap<_, [u8; 44], [u8; 8]> =
            HashMap::try_from(self.ebpf.map("fragments").unwrap()).unwrap();
        map.keys().map(Result::unwrap).count()
    }
}

fn read<To: AnyBitPattern>(bytes: &[u8]) -> To {
    bytemuck::pod_read_unaligned(bytes)
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> &'a mut SchedClassifier {
    ebpf.program_mut(name).unwrap().try_into().unwrap()
}

fn refused(error: &dyn std::error::Error) -> ! {
    let mut causes = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        causes = format!("{causes}: {cause}");
        next = cause.source();
    }
    panic!("these tests load BPF programs and need root (CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON): {causes}")
}
