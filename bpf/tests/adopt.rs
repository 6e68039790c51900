//! What outlives the process: adoption, layout changes, the panic switch. Needs root, and fails without.

#[cfg(test)]
mod kernel_support;

use kernel_support::{Lab, forwarded, run};
use palomar_bpf::abi::{Counter, Direction, Event, InvalidEvent, Mode, Rule, RuleKey};
use palomar_bpf::{Adoption, CleanError, Datapath, EventReader, Hooks, Options, RingBytes, panic_audit};
use std::sync::atomic::{AtomicBool, Ordering};

fn key(set: u32) -> RuleKey {
    RuleKey { prefix_len: 96, set, ..RuleKey::default() }
}

const RULE: Rule = Rule { rule_set: 3, prefix_len: 96 };

fn changed(adoption: &Adoption) -> Vec<&str> {
    match adoption {
        Adoption::Replaced(changes) => changes.iter().map(|change| change.map.as_str()).collect(),
        other => panic!("{other:?}"),
    }
}

fn small_ring() -> Options {
    Options { ring: RingBytes::try_from(1 << 20).expect("invariant: a power of two"), ..Options::default() }
}

#[test]
fn the_next_load_finds_what_the_last_one_wrote() {
    let lab = Lab::new("next");
    let first = lab.load(Hooks::Auto);
    assert_eq!(first.adoption(), &Adoption::Fresh);
    first.maps.rules.insert(&key(1), &RULE).unwrap();
    first.maps.settings.set_mode(Mode::Enforce);
    drop(first);
    let second = lab.load(Hooks::Auto);
    assert_eq!(second.adoption(), &Adoption::Adopted);
    assert!(second.adoption().keeps_control());
    assert_eq!(second.maps.rules.get(&key(1)).unwrap(), Some(RULE));
    assert_eq!(second.maps.settings.mode(), Ok(Mode::Enforce));
}

#[test]
fn another_ring_size_replaces_the_ring_alone_and_the_old_events_can_still_be_read() {
    let lab = Lab::new("ring");
    let first = lab.load(Hooks::Auto);
    first.maps.rules.insert(&key(1), &RULE).unwrap();
    lab.observe(&first);
    first.attacher.attach(lab.ifindex()).unwrap();
    lab.send(5);
    drop(first);

    let mut second = lab.load_with(&small_ring());
    assert_eq!(changed(second.adoption()), ["events"]);
    assert!(second.adoption().keeps_control());
    assert_eq!(second.maps.rules.get(&key(1)).unwrap(), Some(RULE));
    second.attacher.attach(lab.ifindex()).unwrap();
    second.commit().unwrap();
    let mut old = 0;
    second.retired_events.take().unwrap().drain(1000, |event| old += usize::from(event.is_ok()));
    assert!(old >= 5, "{old}");
    lab.send(8);
    assert!(second.events.take().unwrap().drain(1000, |event| assert!(event.is_ok())) > 0);
    drop(second);
    assert_eq!(lab.load_with(&small_ring()).adoption(), &Adoption::Adopted);
}

#[test]
fn a_replacement_that_is_not_committed_leaves_everything_as_it_was() {
    let lab = Lab::new("abandon");
    drop(lab.load(Hooks::Auto));
    drop(lab.load_with(&small_ring()));
    assert_eq!(lab.load(Hooks::Auto).adoption(), &Adoption::Adopted);
}

#[test]
fn connections_move_into_a_table_of_another_capacity() {
    let lab = Lab::new("capacity");
    let first = lab.load(Hooks::Auto);
    lab.observe(&first);
    first.attacher.attach(lab.ifindex()).unwrap();
    lab.send(20);
    let known = first.maps.connections.entries().unwrap();
    assert!(known.len() >= 20, "{}", known.len());
    drop(first);

    let mut second = lab.load_with(&Options { connections: 2000, ..Options::default() });
    assert_eq!(changed(second.adoption()), ["connections"]);
    assert_eq!(second.maps.connections.count().unwrap(), 0);
    second.attacher.attach(lab.ifindex()).unwrap();
    second.commit().unwrap();
    for (key, connection) in &known {
        let moved = second.maps.connections.get(key).unwrap().unwrap();
        assert_eq!(moved.origin, connection.origin);
        assert!(moved.last_seen >= connection.last_seen);
    }
}

#[test]
fn a_pinned_map_of_another_shape_replaces_all_that_the_agent_writes() {
    let lab = Lab::new("shape");
    let first = lab.load(Hooks::Auto);
    first.maps.settings.set_mode(Mode::Enforce);
    lab.observe(&first);
    first.attacher.attach(lab.ifindex()).unwrap();
    drop(first);
    let pin = lab.rules_pin();
    std::fs::remove_file(&pin).unwrap();
    let pin = pin.to_str().unwrap();
    run(
        "bpftool",
        &["map", "create", pin, "type", "hash", "key", "4", "value", "4", "entries", "8", "name", "other"],
    );

    let mut second = lab.load(Hooks::Auto);
    assert_eq!(changed(second.adoption()), ["rules"]);
    let Adoption::Replaced(changes) = second.adoption() else { unreachable!() };
    assert!(changes[0].why.contains("key size 4, wanted 16"), "{changes:?}");
    assert!(!second.adoption().keeps_control());
    assert_eq!(second.maps.settings.mode(), Ok(Mode::Off), "the new maps are empty");
    let before = forwarded(&second);
    lab.send(3);
    assert!(
        forwarded(&second) > before,
        "the old programs still judge, and count into the counters that both share"
    );
    second.maps.settings.set_mode(Mode::Audit);
    second.attacher.attach(lab.ifindex()).unwrap();
    second.commit().unwrap();
    drop(second);
    let third = lab.load(Hooks::Auto);
    assert_eq!(third.adoption(), &Adoption::Adopted);
    assert_eq!(third.maps.settings.mode(), Ok(Mode::Audit));
}

#[test]
fn maps_of_another_abi_are_removed_when_the_new_ones_are_in_force() {
    let lab = Lab::new("abi");
    let pins = lab.pins();
    let old = pins.root().join("v999");
    std::fs::create_dir(&old).unwrap();
    let pin = old.join("rules");
    let pin = pin.to_str().unwrap();
    run(
        "bpftool",
        &["map", "create", pin, "type", "hash", "key", "4", "value", "4", "entries", "8", "name", "old"],
    );
    let mut datapath = lab.load(Hooks::Auto);
    assert!(!datapath.adoption().keeps_control());
    assert_eq!(changed(datapath.adoption()).len(), 12, "every map is new");
    assert!(old.exists());
    datapath.commit().unwrap();
    assert!(!old.exists());
    drop(datapath);
    assert_eq!(lab.load(Hooks::Auto).adoption(), &Adoption::Adopted);
}

/// What was told and does not wait to be read, at a moment in which nothing is told.
fn told_and_read(datapath: &Datapath, reader: &EventReader) -> u64 {
    let kinds = [Counter::ToldDrop, Counter::ToldTrace, Counter::ToldPolicyVerdict];
    loop {
        let before = reader.waiting();
        let told = |kind: &Counter| datapath.maps.counters.get(*kind).expect("the counters can be read");
        let told: u64 = kinds.iter().map(told).sum();
        if reader.waiting() == before {
            return told - before;
        }
    }
}

#[test]
fn the_next_reader_goes_on_where_the_last_one_stopped() {
    let lab = Lab::new("resume");
    let mut first = lab.load(Hooks::Auto);
    lab.observe(&first);
    first.attacher.attach(lab.ifindex()).unwrap();
    lab.send(10);
    let mut ports = Vec::new();
    let mut take = |event: Result<Event, InvalidEvent>| {
        let event = event.unwrap();
        if event.direction == Direction::Ingress.number() && event.protocol == 17 {
            ports.push(u16::from_be(event.destination_port));
        }
    };
    assert_eq!(first.events.take().unwrap().drain(5, &mut take), 5);
    drop(first);
    let mut second = lab.load(Hooks::Auto);
    let mut reader = second.events.take().unwrap();
    assert_eq!(told_and_read(&second, &reader), 5, "what was told and does not wait was read");
    let waiting = reader.waiting();
    assert!(reader.drain(1000, &mut take) as u64 >= waiting);
    assert_eq!(ports, (5000..5010).collect::<Vec<u16>>(), "none twice, none lost");
}

#[test]
fn no_denied_packet_passes_while_a_layout_change_replaces_an_enforcing_datapath() {
    for (hooks, name) in [(Hooks::Tcx, "tcx"), (Hooks::Clsact, "cls")] {
        let lab = Lab::new(&format!("seam-{name}"));
        let pod = lab.pod_socket(5000);
        let arrived = || std::iter::from_fn(|| pod.recv(&mut [0; 16]).ok()).count();
        lab.send(1);
        assert_eq!(arrived(), 1, "{name}: without us it passes");
        let first = lab.load(hooks);
        lab.deny(&first);
        first.attacher.attach(lab.ifindex()).unwrap();
        let stop = AtomicBool::new(false);
        let sent = std::thread::scope(|scope| {
            let flood = scope.spawn(|| {
                let mut sent = 0;
                while !stop.load(Ordering::Relaxed) {
                    lab.send(1);
                    sent += 1;
                }
                sent
            });
            drop(first);
            for _ in 0..5 {
                std::fs::remove_file(lab.rules_pin()).unwrap();
                let mut next = lab.load(hooks);
                assert!(!next.adoption().keeps_control());
                lab.deny(&next);
                assert!(next.attacher.attach(lab.ifindex()).unwrap().adopted);
                next.commit().unwrap();
            }
            stop.store(true, Ordering::Relaxed);
            flood.join().unwrap()
        });
        assert_eq!(arrived(), 0, "{name}: of {sent}");
        assert!(sent > 100, "{name}: {sent}");
        panic_audit(&lab.pins).unwrap();
        lab.send(1);
        assert_eq!(arrived(), 1, "{name}: in audit it passes again");
    }
}

#[test]
fn the_panic_switch_works_without_an_agent() {
    let lab = Lab::new("panic");
    assert!(matches!(panic_audit(&lab.pins), Err(CleanError::Absent { .. })));
    let first = lab.load(Hooks::Auto);
    first.maps.settings.set_mode(Mode::Enforce);
    let epoch = first.maps.settings.epoch();
    drop(first);
    assert!(panic_audit(&lab.pins).unwrap());
    assert!(!panic_audit(&lab.pins).unwrap());
    let second = lab.load(Hooks::Auto);
    assert_eq!((second.maps.settings.mode(), second.maps.settings.epoch()), (Ok(Mode::Audit), epoch + 1));
}
