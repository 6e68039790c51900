//! Filters over a file: how many lines Hubble's CLI printed, row by row.

use crate::differences::Differences;
use crate::support::{fixture, fixture_path, palomar, words};

#[test]
fn every_recorded_query_gives_as_many_lines_or_the_same_error() {
    let recorded = fixture("filters-offline.txt");
    let path = fixture_path("flows.jsonl");
    let differences = Differences::of("filters-offline.txt");
    let (mut rows, mut wrong) = (0, Vec::new());
    for row in recorded.split("$ hubble observe --input-file F ").skip(1) {
        let (line, result) = row.split_once('\n').unwrap();
        let result = result.trim();
        rows += 1;
        let (count, rest) = result.strip_prefix("flows=").unwrap().split_once(' ').unwrap();
        let (code, error) = rest.strip_prefix("rc=").unwrap().split_once(" err=").unwrap();
        let base = ["observe", "--input-file", path.to_str().unwrap(), "-s"].map(str::to_owned);
        let all: Vec<String> = base.into_iter().chain(words(line)).collect();
        let outcome = palomar(&all).run();
        let lines = outcome.out.lines().count().to_string();
        let actual_error = outcome.err.replace('\n', "|");
        let code_text = outcome.code.to_string();
        let is_equal = (lines.as_str(), code_text.as_str(), actual_error.as_str()) == (count, code, error);
        if !differences.is_as_listed(line.trim(), is_equal) {
            wrong.push(format!(
                "{line:?}: wanted {count} {code} {error}\n    got {lines} {} {actual_error}",
                outcome.code
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {rows} rows:\n{}", wrong.len(), wrong.join("\n"));
    assert!(rows > 130, "only {rows} rows were found");
    differences.end();
}

#[test]
fn what_is_not_built_is_refused_and_never_ignored() {
    let forward = palomar(&["status", "-P", "--kube-context", "prod", "--port-forward-port", "0"]).run();
    let wanted = "failed getting status: --port-forward is not built, as it needs the Kubernetes API; run: kubectl \
                  --context prod -n kube-system port-forward service/hubble-relay :80, and use --server localhost: and \
                  the port that it prints\n";
    assert_eq!((forward.code, forward.err.as_str()), (1, wanted));
}
