//! Attaching, on both kinds of hook, beside programs of others. Needs root, and fails without.

#[cfg(test)]
mod kernel_support;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use aya::programs::TcAttachType;
use kernel_support::foreign::{Foreign, Place};
use kernel_support::{Lab, forwarded, ip, run};
use palomar_bpf::abi::Direction;
use palomar_bpf::{Adoption, AttachError, Attached, Datapath, Hook, Hooks, Options, clean};

const BOTH: [(Hooks, Hook, &str); 2] = [(Hooks::Tcx, Hook::Tcx, "tcx"), (Hooks::Clsact, Hook::Clsact, "cls")];

fn is_first(datapath: &Datapath, ifindex: u32) -> bool {
    datapath.attacher.order(ifindex).expect("the interface is there").iter().all(|order| order.first)
}

/// Words of `tc qdisc show` for the pod's interface; empty where it has no clsact qdisc.
fn qdisc() -> String {
    let all = run("tc", &["qdisc", "show", "dev", "pod0"]);
    all.lines().filter(|line| line.contains("clsact")).collect()
}

/// Packets of `send` that the programs see.
fn seen(lab: &Lab, datapath: &Datapath) -> u64 {
    let before = forwarded(datapath);
    lab.send(4);
    forwarded(datapath) - before
}

#[test]
fn programs_see_packets_from_the_first_place() {
    for (hooks, hook, name) in BOTH {
        let lab = Lab::new(&format!("see-{name}"));
        let datapath = lab.load(hooks);
        lab.observe(&datapath);
        assert_eq!(seen(&lab, &datapath), 0, "{name}");
        let attached = datapath.attacher.attach(lab.ifindex()).unwrap();
        assert_eq!(attached, Attached { hook, adopted: false });
        assert!(seen(&lab, &datapath) >= 4, "{name}");
        let order = datapath.attacher.order(lab.ifindex()).unwrap();
        for (order, direction) in order.iter().zip([Direction::Ingress, Direction::Egress]) {
            assert_eq!((order.direction, order.first), (direction, true), "{name}");
            assert_eq!(order.programs, [datapath.attacher.program_id(direction)], "{name}");
        }
        let mut events = datapath.events.unwrap();
        let mut directions = BTreeSet::new();
        events.drain(1000, |event| {
            directions.insert(event.unwrap().direction);
        });
        // The pod answers datagrams to closed ports.
        assert_eq!(directions, BTreeSet::from([1, 2]), "{name}");
    }
}

#[test]
fn attaching_again_changes_nothing() {
    for (hooks, hook, name) in BOTH {
        let lab = Lab::new(&format!("again-{name}"));
        let datapath = lab.load(hooks);
        datapath.attacher.attach(lab.ifindex()).unwrap();
        assert_eq!(datapath.attacher.attach(lab.ifindex()).unwrap(), Attached { hook, adopted: true });
        for order in datapath.attacher.order(lab.ifindex()).unwrap() {
            assert_eq!(order.programs.len(), 1, "{name}");
        }
        assert_eq!(datapath.attacher.attached(), BTreeSet::from([lab.ifindex()]));
    }
}

/// Runs in the process that the next test starts, in its network namespace.
#[test]
#[ignore = "started by another test"]
fn an_agent_until_it_is_killed() {
    let folder = std::env::var("PALOMAR_TEST_PINS").unwrap();
    let hooks = if folder.contains("tcx") { Hooks::Tcx } else { Hooks::Clsact };
    let pins = palomar_bpf::Pins::create(folder.as_ref()).unwrap();
    let datapath = Datapath::load(&Options { hooks, ..Options::default() }, Some(pins)).unwrap();
    datapath.attacher.attach(std::env::var("PALOMAR_TEST_IFINDEX").unwrap().parse().unwrap()).unwrap();
    println!("attached");
    std::thread::sleep(std::time::Duration::from_mins(1));
}

#[test]
fn a_killed_agent_leaves_its_programs_at_work_and_the_next_adopts_them() {
    for (hooks, hook, name) in BOTH {
        let lab = Lab::new(&format!("kill-{name}"));
        let mut agent = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "an_agent_until_it_is_killed", "--ignored", "--nocapture"])
            .env("PALOMAR_TEST_PINS", &lab.pins)
            .env("PALOMAR_TEST_IFINDEX", lab.ifindex().to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(agent.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.contains("attached")), "{name}");
        agent.kill().unwrap();
        agent.wait().unwrap();

        let mut next = lab.load(hooks);
        assert_eq!(next.adoption(), &Adoption::Adopted, "{name}");
        lab.observe(&next);
        assert!(seen(&lab, &next) >= 4, "{name}: the killed agent's programs are at work");
        assert!(!is_first(&next, lab.ifindex()), "{name}: the new ones are not");
        assert_eq!(next.attacher.attach(lab.ifindex()).unwrap(), Attached { hook, adopted: true }, "{name}");
        next.commit().unwrap();
        assert!(is_first(&next, lab.ifindex()), "{name}");
        assert!(seen(&lab, &next) >= 4, "{name}");
    }
}

#[test]
fn without_pins_everything_ends_with_the_datapath() {
    for (hooks, _, name) in BOTH {
        let lab = Lab::new(&format!("held-{name}"));
        let datapath = Datapath::load(&Options { hooks, ..Options::default() }, None).unwrap();
        lab.observe(&datapath);
        datapath.attacher.attach(lab.ifindex()).unwrap();
        assert!(seen(&lab, &datapath) >= 4, "{name}");
        drop(datapath);
        let other = lab.load(hooks);
        for order in other.attacher.order(lab.ifindex()).unwrap() {
            assert_eq!(order.programs, [], "{name}");
        }
        assert_eq!(qdisc(), "", "{name}");
    }
}

#[test]
fn tcx_programs_of_others_before_and_after_ours_keep_running() {
    let lab = Lab::new("foreign-tcx");
    let datapath = lab.load(Hooks::Tcx);
    lab.observe(&datapath);
    let after = Foreign::attach("foreign_next", TcAttachType::Egress, &Place::Last);
    datapath.attacher.attach(lab.ifindex()).unwrap();
    assert!(is_first(&datapath, lab.ifindex()));
    assert!(seen(&lab, &datapath) >= 4);
    assert!(after.packets() >= 4);

    let before = Foreign::attach("foreign_next", TcAttachType::Egress, &Place::First);
    let order = datapath.attacher.order(lab.ifindex()).unwrap();
    let to_pod = order.iter().find(|order| order.direction == Direction::Ingress).unwrap();
    let ours = datapath.attacher.program_id(Direction::Ingress);
    assert!(!to_pod.first);
    assert_eq!(to_pod.programs, [before.id("foreign_next"), ours, after.id("foreign_next")]);
    assert!(seen(&lab, &datapath) >= 4);
    drop(datapath);

    assert_eq!(clean(&lab.pins).unwrap(), BTreeSet::from([lab.ifindex()]));
    assert!(!lab.pins.exists());
    let counted = (before.packets(), after.packets());
    lab.send(4);
    assert!(before.packets() >= counted.0 + 4 && after.packets() >= counted.1 + 4);
}

#[test]
fn a_program_before_ours_that_ends_the_chain_hides_packets_and_the_order_tells_it() {
    let lab = Lab::new("hidden");
    let datapath = lab.load(Hooks::Tcx);
    lab.observe(&datapath);
    datapath.attacher.attach(lab.ifindex()).unwrap();
    let before = Foreign::attach("foreign_ok", TcAttachType::Egress, &Place::First);
    lab.send(4);
    assert!(before.packets() >= 4);
    assert!(!is_first(&datapath, lab.ifindex()));
}

#[test]
fn filters_of_others_keep_running_and_so_does_their_qdisc() {
    let lab = Lab::new("foreign-cls");
    run("tc", &["qdisc", "add", "dev", "pod0", "clsact"]);
    let foreign =
        Foreign::attach("foreign_next", TcAttachType::Egress, &Place::Filter { priority: 50, handle: 1 });
    let datapath = lab.load(Hooks::Clsact);
    lab.observe(&datapath);
    datapath.attacher.attach(lab.ifindex()).unwrap();
    assert!(is_first(&datapath, lab.ifindex()));
    assert!(seen(&lab, &datapath) >= 4);
    assert!(foreign.packets() >= 4);
    drop(datapath);
    clean(&lab.pins).unwrap();
    let counted = foreign.packets();
    lab.send(4);
    assert!(foreign.packets() >= counted + 4);
    drop(foreign);
    assert_ne!(qdisc(), "", "it was there before us");
}

#[test]
fn our_qdisc_goes_with_us_unless_somebody_else_uses_it() {
    let lab = Lab::new("qdisc");
    let datapath = lab.load(Hooks::Clsact);
    datapath.attacher.attach(lab.ifindex()).unwrap();
    assert_ne!(qdisc(), "");
    datapath.attacher.detach(lab.ifindex()).unwrap();
    assert_eq!(qdisc(), "");

    datapath.attacher.attach(lab.ifindex()).unwrap();
    let foreign =
        Foreign::attach("foreign_next", TcAttachType::Ingress, &Place::Filter { priority: 3, handle: 7 });
    drop(datapath);
    assert_eq!(clean(&lab.pins).unwrap(), BTreeSet::from([lab.ifindex()]));
    assert_ne!(qdisc(), "");
    let before = foreign.packets();
    lab.send(4);
    assert!(foreign.packets() > before, "the pod answers, and the foreign filter sees it");
}

#[test]
fn a_foreign_filter_in_our_place_is_named_and_left_alone() {
    let lab = Lab::new("place");
    run("tc", &["qdisc", "add", "dev", "pod0", "clsact"]);
    let place = Place::Filter { priority: 3, handle: 0x5041_4c4f };
    let foreign = Foreign::attach("foreign_next", TcAttachType::Egress, &place);
    let datapath = lab.load(Hooks::Clsact);
    let error = datapath.attacher.attach(lab.ifindex()).unwrap_err();
    assert!(matches!(error, AttachError::Foreign { hook: "egress", .. }), "{error}");
    let id = foreign.id("foreign_next");
    assert!(error.to_string().contains(&format!("program \"foreign_next\" (id {id})")), "{error}");
    drop(datapath);
    clean(&lab.pins).unwrap();
    let counted = foreign.packets();
    lab.send(4);
    assert!(foreign.packets() >= counted + 4);
}

#[test]
fn an_interface_that_vanishes_is_no_failure_and_its_index_can_come_again() {
    for (hooks, hook, name) in BOTH {
        let lab = Lab::new(&format!("gone-{name}"));
        let datapath = lab.load(hooks);
        lab.observe(&datapath);
        let ifindex = lab.ifindex();
        datapath.attacher.attach(ifindex).unwrap();
        lab.delete_veth();
        if hook == Hook::Tcx {
            assert!(matches!(datapath.attacher.attach(ifindex), Err(AttachError::Gone { .. })), "{name}");
        }
        lab.add_veth(&["index", &ifindex.to_string()]);
        assert_eq!(lab.ifindex(), ifindex);
        assert_eq!(datapath.attacher.attach(ifindex).unwrap(), Attached { hook, adopted: false }, "{name}");
        assert!(seen(&lab, &datapath) >= 4, "{name}");
        lab.delete_veth();
        assert_eq!(datapath.attacher.retain(&BTreeSet::new()).unwrap(), [ifindex], "{name}");
        assert!(datapath.attacher.attached().is_empty(), "{name}");
        assert!(matches!(datapath.attacher.attach(ifindex), Err(AttachError::Gone { .. })), "{name}");
        assert!(matches!(datapath.attacher.attach(4_000_000_000), Err(AttachError::Gone { .. })), "{name}");
        drop(datapath);
        clean(&lab.pins).unwrap();
        assert!(!lab.pins.exists(), "{name}");
    }
}

#[test]
fn an_index_that_comes_again_is_attached_afresh_without_pins_as_well() {
    for (hooks, hook, name) in BOTH {
        let lab = Lab::new(&format!("fresh-{name}"));
        let datapath = Datapath::load(&Options { hooks, ..Options::default() }, None).unwrap();
        lab.observe(&datapath);
        let ifindex = lab.ifindex();
        datapath.attacher.attach(ifindex).unwrap();
        lab.delete_veth();
        lab.add_veth(&["index", &ifindex.to_string()]);
        assert_eq!(datapath.attacher.attach(ifindex).unwrap(), Attached { hook, adopted: false }, "{name}");
        assert!(seen(&lab, &datapath) >= 4, "{name}");
    }
}

#[test]
fn a_qdisc_on_an_index_that_came_again_is_not_taken_for_ours() {
    let lab = Lab::new("again");
    let datapath = lab.load(Hooks::Clsact);
    let ifindex = lab.ifindex();
    datapath.attacher.attach(ifindex).unwrap();
    lab.delete_veth();
    lab.add_veth(&["index", &ifindex.to_string()]);
    run("tc", &["qdisc", "add", "dev", "pod0", "clsact"]);
    datapath.attacher.attach(ifindex).unwrap();
    datapath.attacher.detach(ifindex).unwrap();
    assert_ne!(qdisc(), "", "somebody else made it");
}

#[test]
fn a_change_of_the_hook_leaves_nothing_behind() {
    let lab = Lab::new("switch");
    let mut last = None;
    for hooks in [Hooks::Tcx, Hooks::Clsact, Hooks::Tcx] {
        let mut datapath = lab.load(hooks);
        lab.observe(&datapath);
        let attached = datapath.attacher.attach(lab.ifindex()).unwrap();
        assert!(!attached.adopted);
        datapath.commit().unwrap();
        for order in datapath.attacher.order(lab.ifindex()).unwrap() {
            assert_eq!(order.programs, [datapath.attacher.program_id(order.direction)], "{hooks:?}");
        }
        assert_eq!(qdisc().is_empty(), hooks == Hooks::Tcx);
        last = Some(datapath);
    }
    assert!(seen(&lab, &last.unwrap()) >= 4);
}

#[test]
fn interfaces_that_are_not_retained_are_detached() {
    for (hooks, _, name) in BOTH {
        let lab = Lab::new(&format!("retain-{name}"));
        ip(&["link", "add", "other0", "type", "veth", "peer", "name", "other1"]);
        let other = nix::net::if_::if_nametoindex("other0").unwrap();
        let datapath = lab.load(hooks);
        datapath.attacher.attach(lab.ifindex()).unwrap();
        datapath.attacher.attach(other).unwrap();
        assert_eq!(datapath.attacher.retain(&BTreeSet::from([lab.ifindex()])).unwrap(), [other], "{name}");
        for order in datapath.attacher.order(other).unwrap() {
            assert_eq!(order.programs, [], "{name}");
        }
        assert!(is_first(&datapath, lab.ifindex()), "{name}");
    }
}

#[test]
fn cleaning_what_is_not_there_does_nothing() {
    assert_eq!(clean("/sys/fs/bpf/plm-loader-nothing".as_ref()).unwrap(), BTreeSet::new());
}
