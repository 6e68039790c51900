//! Decisions about endpoints, remembered.

use crate::view::Side;

/// What filters said about the endpoints met so far: for each filter and side, one byte for each endpoint key.
/// Memory grows with the greatest key met; a new or cleared memo holds none.
#[derive(Debug, Clone, Default)]
pub struct Memo {
    decisions: Vec<Vec<Decision>>,
}

impl Memo {
    /// Forgets everything: needed before a key may stand for another endpoint.
    pub fn clear(&mut self) {
        self.decisions.clear();
    }
}

#[derive(Debug, Clone, Copy, Default)]
enum Decision {
    #[default]
    Open,
    Passes,
    Fails,
}

/// Decides the endpoint tests of a filter.
pub(super) trait Decide {
    /// Whether the endpoint that `key` stands for passes the tests that filter `index` has for this side.
    fn decide(&mut self, index: usize, side: Side, key: Option<u32>, test: impl FnOnce() -> bool) -> bool;
}

/// Runs the tests each time.
pub(super) struct Each;

impl Decide for Each {
    fn decide(&mut self, _: usize, _: Side, _: Option<u32>, test: impl FnOnce() -> bool) -> bool {
        test()
    }
}

impl Decide for Memo {
    fn decide(&mut self, index: usize, side: Side, key: Option<u32>, test: impl FnOnce() -> bool) -> bool {
        let Some(key) = key.and_then(|key| usize::try_from(key).ok()) else { return test() };
        let row = 2 * index + side.of(0, 1);
        if row >= self.decisions.len() {
            self.decisions.resize_with(row + 1, Vec::new);
        }
        let row = &mut self.decisions[row];
        if key >= row.len() {
            row.resize(key + 1, Decision::Open);
        }
        match row[key] {
            Decision::Passes => true,
            Decision::Fails => false,
            Decision::Open => {
                let passes = test();
                row[key] = if passes { Decision::Passes } else { Decision::Fails };
                passes
            }
        }
    }
}
