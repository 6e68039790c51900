//! Loading, and the maps' handles, on this kernel. Needs root, and fails without.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use palomar_bpf::abi::{
    Address, CidrKey, Connection, ConnectionKey, ENDPOINTS_DENSE, Endpoint, Mode, PolicyWord,
    RULE_PREFIX_PORT, Rule, RuleKey,
};
use palomar_bpf::{Adoption, Constant, Datapath, LoadError, MapError, Options, PinError, Pins, RingBytes};

fn load() -> Datapath {
    Datapath::load(&Options::default(), None).expect("the tests need root")
}

#[test]
fn a_load_without_pins_is_fresh_and_has_the_sizes_that_were_asked_for() {
    let ring = RingBytes::try_from(1 << 20).unwrap();
    let options = Options { ring, connections: 1000, ..Options::default() };
    let datapath = Datapath::load(&options, None).unwrap();
    assert_eq!(datapath.adoption(), &Adoption::Fresh);
    assert_eq!(datapath.maps.connections.capacity(), 1000);
    assert_eq!(datapath.maps.connections.count().unwrap(), 0);
    let memory = datapath.maps.memory().unwrap();
    let of = |name: &str| memory.iter().find(|map| map.name == name).unwrap().bytes;
    assert!((1 << 20..2 << 20).contains(&of("events")), "{memory:?}");
    let connections = u64::from(datapath.maps.connections.capacity());
    assert!(of("connections") >= connections * (size_of::<ConnectionKey>() + size_of::<Connection>()) as u64);
}

#[test]
fn a_constant_of_the_wrong_size_is_refused() {
    let constants = vec![Constant::new("cfg_limit_burst", 1_u64)];
    let result = Datapath::load(&Options { constants, ..Options::default() }, None);
    assert!(matches!(result, Err(LoadError::Object(_))));
}

#[test]
fn ring_sizes_that_the_kernel_has_not_are_refused() {
    for bytes in [0, 1, 4096, 100_000, (1 << 20) + 1, 1 << 31] {
        assert!(RingBytes::try_from(bytes).is_err(), "{bytes}");
    }
    assert_eq!(RingBytes::try_from(4 << 20), Ok(RingBytes::DEFAULT));
}

#[test]
fn a_hundred_thousand_rules_go_in_and_out_in_batches() {
    let datapath = load();
    let rules = &datapath.maps.rules;
    let key = |n: u32| RuleKey {
        prefix_len: RULE_PREFIX_PORT,
        set: n / 1000,
        peer: n % 1000,
        direction: 1,
        protocol: 6,
        port: 80_u16.to_be(),
    };
    let value = |n: u32| Rule { rule_set: n + 1, prefix_len: RULE_PREFIX_PORT };
    rules.insert_all((0..100_000).map(|n| (key(n), value(n)))).unwrap();
    assert_eq!(rules.get(&key(77_777)).unwrap(), Some(value(77_777)));
    let entries = rules.entries().unwrap();
    assert_eq!(entries.len(), 100_000);
    let keys: BTreeSet<RuleKey> = entries.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, (0..100_000).map(key).collect());
    // Every second one is absent: 50,000 to 149,999 asked for, 50,000 there.
    let asked = (0..100_000).flat_map(|n| [key(n + 50_000), key(n + 1_000_000)]);
    assert_eq!(rules.remove_all(asked).unwrap(), 50_000);
    assert_eq!(rules.count().unwrap(), 50_000);
    assert_eq!(rules.get(&key(50_000)).unwrap(), None);
    assert_eq!(rules.get(&key(49_999)).unwrap(), Some(value(49_999)));
}

#[test]
fn a_walk_over_a_hash_meets_each_entry_once_and_ends() {
    let addresses = &load().maps.addresses;
    let key = |n: u32| u128::from(n).to_be_bytes();
    let value = |n: u32| Address { identity: n, ..Address::default() };
    addresses.insert_all((0..50_000).map(|n| (key(n), value(n)))).unwrap();
    let (mut walk, mut met, mut batches) = (addresses.walk(), Vec::new(), 0);
    while let Some((keys, values)) = addresses.next(&mut walk).unwrap() {
        met.extend(keys.iter().copied().zip(values.iter().copied()));
        batches += 1;
    }
    assert!(batches > 1, "{batches}");
    met.sort_by_key(|(key, _)| *key);
    assert_eq!(met, (0..50_000).map(|n| (key(n), value(n))).collect::<Vec<_>>());
    assert_eq!(addresses.next(&mut walk).unwrap(), None, "it has ended for good");
    assert_eq!(load().maps.addresses.entries().unwrap(), [], "an empty table");
}

#[test]
fn a_full_table_says_so_and_keeps_what_it_has() {
    let datapath = load();
    let addresses = &datapath.maps.addresses;
    let key = |n: u32| u128::from(n).to_be_bytes();
    let value = Address { identity: 5, ..Address::default() };
    let capacity = addresses.max_entries();
    let result = addresses.insert_all((0..capacity + 10_000).map(|n| (key(n), value)));
    assert!(
        matches!(result, Err(MapError::Full { map: "addresses", max_entries }) if max_entries == capacity)
    );
    assert_eq!(addresses.count().unwrap(), capacity as usize);
    assert_eq!(addresses.get(&key(0)).unwrap(), Some(value));
}

#[test]
fn the_longest_prefix_gives_the_class() {
    let datapath = load();
    let cidrs = &datapath.maps.cidrs;
    let prefix = |text: &str, bits: u32| CidrKey {
        prefix_len: 96 + bits,
        address: palomar_bpf::abi::address_bytes(text.parse().unwrap()),
    };
    cidrs.insert_all([(prefix("10.0.0.0", 8), 1), (prefix("10.1.0.0", 16), 2)]).unwrap();
    assert_eq!(cidrs.get(&prefix("10.1.2.3", 32)).unwrap(), Some(2));
    assert_eq!(cidrs.get(&prefix("10.2.2.3", 32)).unwrap(), Some(1));
    assert_eq!(cidrs.get(&prefix("11.2.2.3", 32)).unwrap(), None);
    assert!(cidrs.remove(&prefix("10.1.0.0", 16)).unwrap());
    assert!(!cidrs.remove(&prefix("10.1.0.0", 16)).unwrap());
    assert_eq!(cidrs.get(&prefix("10.1.2.3", 32)).unwrap(), Some(1));
}

#[test]
fn endpoints_are_kept_for_low_and_high_interfaces_alike() {
    let datapath = load();
    let endpoints = &datapath.maps.endpoints;
    let endpoint = |id: u32| Endpoint {
        policy: PolicyWord::new(id, 1, 0).unwrap(),
        unjudged_udp_until: 77,
        id,
        identity: id + 1000,
    };
    let interfaces = [1, 2, ENDPOINTS_DENSE - 1, ENDPOINTS_DENSE, 2_000_000];
    for (id, ifindex) in (1..).zip(interfaces) {
        assert_eq!(endpoints.get(ifindex).unwrap(), None);
        endpoints.set(ifindex, &endpoint(id)).unwrap();
        assert_eq!(endpoints.get(ifindex).unwrap(), Some(endpoint(id)), "{ifindex}");
        let policy = PolicyWord::new(7, 8, 9).unwrap();
        assert!(endpoints.set_policy(ifindex, policy).unwrap());
        assert_eq!(endpoints.get(ifindex).unwrap(), Some(Endpoint { policy, ..endpoint(id) }), "{ifindex}");
    }
    let listed: Vec<u32> = endpoints.entries().unwrap().iter().map(|(ifindex, _)| *ifindex).collect();
    assert_eq!(listed, interfaces);
    for ifindex in interfaces {
        endpoints.clear(ifindex).unwrap();
        assert_eq!(endpoints.get(ifindex).unwrap(), None, "{ifindex}");
        assert!(!endpoints.set_policy(ifindex, PolicyWord(1)).unwrap(), "{ifindex}");
    }
    assert_eq!(endpoints.entries().unwrap(), []);
}

#[test]
fn a_change_of_mode_raises_the_epoch_and_a_repetition_does_not() {
    let datapath = load();
    let settings = &datapath.maps.settings;
    assert_eq!((settings.mode(), settings.epoch()), (Ok(Mode::Off), 0));
    assert!(settings.set_mode(Mode::Enforce));
    assert_eq!((settings.mode(), settings.epoch()), (Ok(Mode::Enforce), 1));
    assert!(!settings.set_mode(Mode::Enforce));
    assert!(settings.set_mode(Mode::Audit));
    assert_eq!((settings.mode(), settings.epoch()), (Ok(Mode::Audit), 2));
}

#[test]
fn heartbeat_and_staleness_are_kept() {
    let datapath = load();
    let settings = &datapath.maps.settings;
    assert_eq!((settings.heartbeat(), settings.stale_after()), (0, None));
    settings.beat(12_345);
    settings.set_stale_after(Some(Duration::from_mins(10)));
    assert_eq!((settings.heartbeat(), settings.stale_after()), (12_345, Some(Duration::from_mins(10))));
    settings.set_stale_after(None);
    assert_eq!(settings.stale_after(), None);
}

#[test]
fn an_empty_ring_ends_the_wait_by_time() {
    let mut events = load().events.unwrap();
    let start = std::time::Instant::now();
    events.wait(Duration::from_millis(30)).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(29), "{:?}", start.elapsed());
    assert_eq!(events.drain(10, |event| panic!("{event:?}")), 0);
}

#[test]
fn pins_outside_bpffs_name_the_mount_command() {
    let folder = tempfile::tempdir().unwrap();
    let error = Pins::create(&folder.path().join("palomar")).unwrap_err();
    assert!(matches!(error, PinError::NotBpffs { .. }));
    assert!(error.to_string().contains("mount -t bpf bpf /sys/fs/bpf"), "{error}");
    assert!(Pins::existing(Path::new("/sys/fs/bpf/plm-loader-no-such")).unwrap().is_none());
}

/// Runs in the process that the test below starts.
#[test]
#[ignore = "started by another test"]
fn without_a_capability() {
    let error = Datapath::load(&Options::default(), None).unwrap_err();
    println!("refused: {error}");
}

#[test]
fn a_missing_capability_is_named() {
    let output = Command::new("setpriv")
        .args(["--bounding-set=-perfmon,-sys_admin", "--inh-caps=-all"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "without_a_capability", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("refused: missing capability: CAP_PERFMON\n"), "{text}");
}
