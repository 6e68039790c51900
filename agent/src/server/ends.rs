//! Ends of flows, encoded once and shared by all queries with the same mask.
//!
//! A number stands for an end until the ring takes it back, so an entry says for which end it was made, and is made
//! anew where the number stands for another. What all tables hold is bounded: one that would go beyond the bound
//! begins anew, and where others hold it all, ends are encoded for each query alone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use palomar_flow::encode::FlowEncoder;
use palomar_flow::mask::FieldMask;
use palomar_flow::view::Side;
use palomar_model::flow::FlowEndpoint;

use crate::ring::{EndpointId, Names};

/// Bytes that all tables may hold together: room for some 10,000 pods.
const MAX_BYTES: usize = 16 << 20;
/// Masks whose tables are kept although no query uses them: the CLI and the UI have a few.
const KEPT_MASKS: usize = 4;
/// Ends that a query finds without looking into the shared table.
const NEAR: usize = 1_024;

/// The tables of all masks.
#[derive(Debug)]
pub struct EncodedEnds {
    /// The one that was used last stands last.
    masks: Mutex<Vec<(FieldMask, Arc<EndTable>)>>,
    bytes: Arc<AtomicUsize>,
    max_bytes: usize,
}

/// The ends under one mask, by the index of their number.
#[derive(Debug)]
pub struct EndTable {
    ends: RwLock<Vec<Option<Arc<EncodedEnd>>>>,
    own_bytes: AtomicUsize,
    all_bytes: Arc<AtomicUsize>,
    max_bytes: usize,
}

/// One end of flows, encoded as their source and as their destination.
#[derive(Debug)]
pub struct EncodedEnd {
    endpoint: Arc<FlowEndpoint>,
    /// Its number on this node; 0 where it is no local pod.
    pub id: u32,
    pub source: Box<[u8]>,
    pub destination: Box<[u8]>,
}

/// The ends that one query met lately, without a lock.
#[derive(Debug, Default)]
pub struct NearEnds {
    ends: Vec<Option<(EndpointId, Arc<EncodedEnd>)>>,
    erasures: u64,
}

// === impl EncodedEnds ===

impl Default for EncodedEnds {
    fn default() -> Self {
        Self::bounded(MAX_BYTES)
    }
}

impl EncodedEnds {
    fn bounded(max_bytes: usize) -> Self {
        Self { masks: Mutex::default(), bytes: Arc::default(), max_bytes }
    }

    /// The table of a mask.
    pub fn of(&self, mask: &FieldMask) -> Arc<EndTable> {
        let mut masks = self.masks.lock().expect("invariant: nothing panics while it holds the masks");
        let table = match masks.iter().position(|(kept, _)| kept == mask) {
            Some(at) => masks.remove(at).1,
            None => Arc::new(EndTable {
                ends: RwLock::default(),
                own_bytes: AtomicUsize::new(0),
                all_bytes: Arc::clone(&self.bytes),
                max_bytes: self.max_bytes,
            }),
        };
        if masks.len() >= KEPT_MASKS {
            masks.remove(0);
        }
        masks.push((mask.clone(), Arc::clone(&table)));
        table
    }
}

// === impl EndTable ===

impl EndTable {
    /// An end, encoded now if it was not before.
    fn get(&self, id: EndpointId, endpoint: &Arc<FlowEndpoint>, encoder: &FlowEncoder) -> Arc<EncodedEnd> {
        let known = {
            let ends = self.ends.read().expect("invariant: nothing panics while it holds the ends");
            ends.get(id.index()).cloned().flatten()
        };
        if let Some(end) = known.filter(|end| Arc::ptr_eq(&end.endpoint, endpoint)) {
            return end;
        }
        let end = Arc::new(EncodedEnd {
            endpoint: Arc::clone(endpoint),
            id: endpoint.id,
            source: encoder.end(Side::Source, endpoint),
            destination: encoder.end(Side::Destination, endpoint),
        });
        self.keep(id.index(), &end);
        end
    }

    fn keep(&self, index: usize, end: &Arc<EncodedEnd>) {
        let mut ends = self.ends.write().expect("invariant: nothing panics while it holds the ends");
        let bytes = end.bytes();
        if self.all_bytes.load(Ordering::Relaxed) + bytes > self.max_bytes {
            ends.clear();
            self.all_bytes.fetch_sub(self.own_bytes.swap(0, Ordering::Relaxed), Ordering::Relaxed);
            if self.all_bytes.load(Ordering::Relaxed) + bytes > self.max_bytes {
                return;
            }
        }
        if ends.len() <= index {
            ends.resize_with(index + 1, || None);
        }
        let before = ends[index].replace(Arc::clone(end)).map_or(0, |end| end.bytes());
        for counter in [&self.own_bytes, &*self.all_bytes] {
            counter.fetch_add(bytes, Ordering::Relaxed);
            counter.fetch_sub(before, Ordering::Relaxed);
        }
    }
}

impl Drop for EndTable {
    fn drop(&mut self) {
        self.all_bytes.fetch_sub(*self.own_bytes.get_mut(), Ordering::Relaxed);
    }
}

// === impl EncodedEnd ===

impl EncodedEnd {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.source.len() + self.destination.len()
    }
}

// === impl NearEnds ===

impl NearEnds {
    /// An end, from the shared table if it is not near.
    pub fn get(
        &mut self,
        id: EndpointId,
        names: &Names,
        table: &EndTable,
        encoder: &FlowEncoder,
    ) -> &EncodedEnd {
        if self.erasures != names.erasures() {
            self.erasures = names.erasures();
            self.ends.clear();
        }
        let at = id.index() % NEAR;
        if self.ends.len() <= at {
            self.ends.resize_with(at + 1, || None);
        }
        let place = &mut self.ends[at];
        if place.as_ref().is_some_and(|(near, _)| *near != id) {
            *place = None;
        }
        &place.get_or_insert_with(|| (id, table.get(id, names.endpoint(id), encoder))).1
    }
}

#[cfg(test)]
mod tests {
    use palomar_flow::convert::NodeContext;
    use palomar_flow::mask::STOCK_DEFAULT;
    use palomar_model::identity::Identity;
    use palomar_model::labels::{Label, LabelSet, Labels};

    use super::*;
    use crate::ring::{Capacity, Ring, Writer};

    fn endpoint(n: usize) -> Arc<FlowEndpoint> {
        Arc::new(FlowEndpoint {
            id: 1,
            identity: Identity(2),
            labels: LabelSet::new(vec![Label::k8s("app", format!("web-{n}"))]),
            pod: None,
            workload: None,
            cluster: Arc::from(""),
        })
    }

    fn numbers(writer: &mut Writer, count: usize) -> Vec<(EndpointId, Arc<FlowEndpoint>)> {
        (0..count).map(endpoint).map(|end| (writer.endpoint(&end), end)).collect()
    }

    fn encoder(mask: &FieldMask) -> FlowEncoder {
        FlowEncoder::new(mask, &NodeContext::new("k1", "", &Labels::new(), ""))
    }

    #[test]
    fn an_end_is_encoded_once_and_anew_where_its_number_stands_for_another() {
        let (mut writer, _ring) = Ring::new(Capacity::DEFAULT);
        let (id, one) = numbers(&mut writer, 1).remove(0);
        let (ends, mask) = (EncodedEnds::default(), FieldMask::default());
        let (table, encoder) = (ends.of(&mask), encoder(&mask));
        let first = table.get(id, &one, &encoder);
        assert!(Arc::ptr_eq(&first, &ends.of(&mask).get(id, &one, &encoder)));
        let other = endpoint(7);
        let second = table.get(id, &other, &encoder);
        assert_eq!(second.source, encoder.end(Side::Source, &other));
        assert_eq!(second.destination, encoder.end(Side::Destination, &other));
        assert_ne!(first.source, second.source);
        assert_eq!(ends.bytes.load(Ordering::Relaxed), second.bytes(), "the first is not counted any more");
    }

    #[test]
    fn every_mask_has_its_own_table_and_few_are_kept() {
        let ends = EncodedEnds::default();
        let masks: Vec<_> = STOCK_DEFAULT.iter().map(|path| FieldMask::compile(&[path]).unwrap()).collect();
        let first = ends.of(&masks[0]);
        assert!(!Arc::ptr_eq(&first, &ends.of(&masks[1])));
        assert!(Arc::ptr_eq(&first, &ends.of(&masks[0])));
        for mask in &masks {
            ends.of(mask);
        }
        assert_eq!(ends.masks.lock().unwrap().len(), KEPT_MASKS);
        assert!(!Arc::ptr_eq(&first, &ends.of(&masks[0])));
    }

    #[test]
    fn what_all_tables_hold_is_bounded_and_counted() {
        let (mut writer, _ring) = Ring::new(Capacity::DEFAULT);
        let ends = EncodedEnds::bounded(10_000);
        let numbers = numbers(&mut writer, 500);
        let masks = [FieldMask::default(), FieldMask::compile(&["source"]).unwrap()];
        for mask in &masks {
            let (table, encoder) = (ends.of(mask), encoder(mask));
            for (id, end) in &numbers {
                let got = table.get(*id, end, &encoder);
                assert_eq!(got.source, encoder.end(Side::Source, end));
                assert!(ends.bytes.load(Ordering::Relaxed) <= 10_000);
            }
        }
        let held = |table: &EndTable| {
            table.ends.read().unwrap().iter().flatten().map(|end| end.bytes()).sum::<usize>()
        };
        let sum: usize = masks.iter().map(|mask| held(&ends.of(mask))).sum();
        assert_eq!(ends.bytes.load(Ordering::Relaxed), sum);
        assert!(sum > 0);
        ends.masks.lock().unwrap().clear();
        assert_eq!(ends.bytes.load(Ordering::Relaxed), 0, "what is dropped is not counted any more");
    }
}
