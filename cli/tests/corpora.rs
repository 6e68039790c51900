//! The inputs that the fuzz targets begin with, and those that once made one fail, as ordinary tests.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/targets/filter.rs"]
mod filter;
#[path = "../../fuzz/targets/json.rs"]
mod json;
#[path = "../../fuzz/targets/manifest.rs"]
mod manifest;
#[path = "../../fuzz/targets/selector.rs"]
mod selector;
#[path = "../../fuzz/targets/time.rs"]
mod time;

/// A target: it panics where something is wrong.
type Check = fn(&[u8]);

#[test]
fn every_input_of_the_corpora_passes_its_target() {
    let table: [(&str, Check); 5] = [
        ("filter", filter::check),
        ("json", json::check),
        ("manifest", manifest::check),
        ("selector", selector::check),
        ("time", time::check),
    ];
    for (target, check) in table {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
        let mut inputs = 0;
        for entry in fs::read_dir(&corpus).expect("a corpus") {
            let path = entry.expect("a file").path();
            println!("{}", path.display());
            check(&fs::read(&path).expect("an input"));
            inputs += 1;
        }
        assert!(inputs > 3, "{target}: {inputs}");
    }
}
