//! Whatever happens to a file: no panic, and never a flow that was not there.

use std::io::Cursor;
use std::sync::Arc;

use palomar_model::flow::Flow;
use proptest::prelude::*;

use super::bytes::Put as _;
use super::read::{self, Damage, Numbering, Restored};
use super::section::{self, Broken, Kind};
use super::tests::{capacity, flows, numbered, numbered_ring, push, save};
use super::{chunk, write};
use crate::losses::{GapCause, Losses};
use crate::ring::{Capacity, Ring};

fn read(file: &[u8], held: u64) -> Result<Restored, Damage> {
    read::read(Cursor::new(file), capacity(held), Numbering::GoesOn)
}

/// A file with sections of few flows, so that damage hits one of many.
fn in_small_sections(ring: &Ring) -> Vec<u8> {
    let whole = save(ring, &Losses::default(), i64::MAX);
    let mut sections = section::Sections::open(Cursor::new(&whole[..])).unwrap();
    let about = sections.next().unwrap().2.to_vec();
    let mut file = Vec::new();
    section::write_head(&mut file).unwrap();
    section::write(Kind::About, &about, &mut file).unwrap();
    let (mut chunk, mut payload, mut records) = (chunk::Chunk::default(), Vec::new(), Vec::new());
    let mut at = ring.written();
    while at > ring.oldest() {
        let batch = ring.read_back(at.saturating_sub(5).max(ring.oldest())..at, &mut records);
        records.iter().rev().for_each(|record| chunk.add(record, &batch).unwrap());
        chunk.put(ring.uuids().number(at), &mut payload);
        section::write(Kind::Flows, &payload, &mut file).unwrap();
        at = batch.first;
    }
    payload.clear();
    payload.put_u64(ring.written() - ring.oldest());
    section::write(Kind::End, &payload, &mut file).unwrap();
    file
}

/// The newest flows without a hole, with a gap that tells how many others there were; or an error.
fn is_honest(result: Result<Restored, Damage>, before: &[Flow], what: &str) -> bool {
    let Ok(restored) = result else { return false };
    let after = flows(&restored.ring);
    assert!(after[..] == before[before.len() - after.len()..], "{what}: a wrong flow");
    let missing = (before.len() - after.len()) as u64;
    let gaps: Vec<_> = restored.gaps.iter().map(|gap| (gap.first_ns, gap.flows, gap.cause)).collect();
    if missing > 0 {
        assert_eq!(gaps, [(before[0].time_ns, Some(missing), GapCause::Unreadable)], "{what}");
        assert!(restored.damage.is_some(), "{what}");
    }
    restored.damage.is_none()
}

fn subject() -> (Vec<u8>, Vec<Flow>) {
    let ring = numbered_ring(50, 31);
    let (file, before) = (in_small_sections(&ring), flows(&ring));
    assert!(is_honest(read(&file, 63), &before, "untouched"));
    (file, before)
}

#[test]
fn a_file_that_ends_anywhere_gives_the_newest_flows_or_nothing() {
    let (file, before) = subject();
    let mut kept = Vec::new();
    for len in 0..file.len() {
        let result = read(&file[..len], 63);
        kept.push(result.as_ref().map_or(0, |restored| restored.flows));
        assert!(!is_honest(result, &before, &format!("cut at {len}")), "nobody noticed the cut at {len}");
    }
    kept.dedup();
    assert_eq!(kept, [0, 5, 10, 15, 18, 23, 28, 31], "more file, more flows");
}

#[test]
fn any_byte_that_is_another_is_noticed() {
    let (file, before) = subject();
    for at in 0..file.len() {
        for flip in [1, 0x80, 0xff] {
            let mut bad = file.clone();
            bad[at] ^= flip;
            assert!(
                !is_honest(read(&bad, 63), &before, &format!("byte {at} ^ {flip}")),
                "byte {at} ^ {flip}"
            );
        }
    }
}

#[test]
fn sections_that_are_lost_swapped_or_twice_there_are_noticed() {
    let (file, before) = subject();
    let mut starts = Vec::new();
    let mut at = 12;
    while at < file.len() {
        starts.push(at);
        at += 9 + usize::try_from(u32::from_le_bytes(file[at + 1..at + 5].try_into().unwrap())).unwrap();
    }
    let ends = starts.iter().skip(1).copied().chain([file.len()]);
    let sections: Vec<&[u8]> = starts.iter().zip(ends).map(|(start, end)| &file[*start..end]).collect();
    assert_eq!(sections.len(), 9, "about, seven of flows, end");
    for one in 0..sections.len() {
        for other in 0..sections.len() {
            let mut twice = sections.clone();
            twice.insert(other, sections[one]);
            let mut swapped = sections.clone();
            swapped.swap(one, other);
            let mut lost = sections.clone();
            lost.remove(one);
            for (what, list) in [("twice", twice), ("swapped", swapped), ("lost", lost)] {
                let bad = [&file[..12], &list.concat()].concat();
                let what = format!("{what}: {one} {other}");
                assert_eq!(is_honest(read(&bad, 63), &before, &what), bad == file, "{what}");
            }
        }
    }
}

#[test]
fn another_version_a_foreign_file_and_an_empty_one_are_told_apart() {
    let (file, _) = subject();
    let told = |file: &[u8]| read(file, 63).unwrap_err().to_string();
    let mut other = file.clone();
    other[8..12].copy_from_slice(&2_u32.to_le_bytes());
    assert_eq!(told(&other), "it is of version 2");
    assert!(matches!(read(&other, 63), Err(Damage::Broken(Broken::Version(2)))));
    assert_eq!(told(b"{\"flows\": []}"), "it does not begin as a file of flows does");
    assert_eq!(told(b"{}"), "it does not begin as a file of flows does");
    assert_eq!(told(b""), "it is truncated");
    assert_eq!(told(&file[..12]), "it is truncated");
}

#[test]
fn lengths_that_lie_take_no_memory() {
    let (file, _) = subject();
    for (len, told) in [
        (u32::MAX, "a section at byte 12 is of no kind or length that there is"),
        (24 << 20, "it is truncated"),
        ((24 << 20) + 1, "a section at byte 12 is of no kind or length that there is"),
        (u32::try_from(file.len()).unwrap(), "it is truncated"),
    ] {
        let mut bad = file.clone();
        bad[13..17].copy_from_slice(&len.to_le_bytes());
        assert_eq!(read(&bad, 63).unwrap_err().to_string(), told);
    }
}

/// A file whose checksums hold, with a section of flows that nobody wrote.
fn forged(payload: &[u8]) -> Vec<u8> {
    let whole = save(&numbered_ring(8, 63), &Losses::default(), 0);
    let mut sections = section::Sections::open(Cursor::new(&whole[..])).unwrap();
    let about = sections.next().unwrap().2.to_vec();
    let mut file = Vec::new();
    section::write_head(&mut file).unwrap();
    section::write(Kind::About, &about, &mut file).unwrap();
    section::write(Kind::Flows, payload, &mut file).unwrap();
    section::write(Kind::End, &8_u64.to_le_bytes(), &mut file).unwrap();
    file
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases * 8))]

    #[test]
    fn bytes_that_no_agent_wrote_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0_u32..9, real in 0_usize..2_000
    ) {
        // the first part is as it should be, then some of what should follow, then anything
        let whole = save(&numbered_ring(8, 63), &Losses::default(), 0);
        let mut sections = section::Sections::open(Cursor::new(&whole[..])).unwrap();
        sections.next().unwrap();
        let good = sections.next().unwrap().2.to_vec();
        let mut payload = 8_u64.to_le_bytes().to_vec();
        payload.extend(count.to_le_bytes());
        payload.extend(&good[12..(12 + real).min(good.len())]);
        payload.extend(&bytes);
        if let Ok(restored) = read(&forged(&payload), 63) {
            flows(&restored.ring);
        }
        let _ = read(&bytes, 63).map(|restored| flows(&restored.ring));
    }

    #[test]
    fn flows_that_were_changed_by_one_who_knows_checksums_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        let whole = save(&numbered_ring(8, 63), &Losses::default(), 0);
        let mut sections = section::Sections::open(Cursor::new(&whole[..])).unwrap();
        sections.next().unwrap();
        let mut payload = sections.next().unwrap().2.to_vec();
        for (at, byte) in changes {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        if let Ok(restored) = read(&forged(&payload), 63) {
            flows(&restored.ring);
        }
    }
}

#[test]
fn a_section_that_holds_its_checksum_and_makes_no_sense_makes_the_file_unbelievable() {
    let (mut writer, ring) = Ring::new(Capacity::try_from(63).unwrap());
    (0..8).for_each(|n| push(&mut writer, &numbered(n)));
    let whole = save(&ring, &Losses::default(), 0);
    let mut sections = section::Sections::open(Cursor::new(&whole[..])).unwrap();
    sections.next().unwrap();
    let good = sections.next().unwrap().2.to_vec();
    assert!(read(&forged(&good), 63).unwrap().damage.is_none());
    let error = read(&forged(&good[..good.len() - 1]), 63).unwrap_err();
    assert_eq!(error.to_string(), "a section of flows makes no sense: it ends within a transport header");
}

#[test]
fn a_name_that_the_format_cannot_hold_is_an_error_and_not_a_file_that_cannot_be_read() {
    let (mut writer, ring) = Ring::new(capacity(63));
    let mut flow = numbered(0);
    let mut end = (*flow.source).clone();
    end.labels = palomar_model::labels::LabelSet::new(vec![palomar_model::labels::Label {
        source: "moon",
        key: "k".into(),
        value: String::new(),
    }]);
    flow.source = Arc::new(end);
    push(&mut writer, &flow);
    let later = std::time::Instant::now() + std::time::Duration::from_mins(1);
    let error = write::write(&ring, &Losses::default(), 0, later, &mut Vec::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"moon\" has no number in a file of flows: choose from k8s, reserved, cidr"
    );
}
