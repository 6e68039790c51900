//! Policies that somebody damaged: whatever the text, reading it ends; what is refused is refused whole and still
//! named, so that whoever keeps the last good state can keep it in force; and no slip in a field's name passes.

#[path = "../../policy/tests/agreement/generate.rs"]
#[expect(dead_code, reason = "of the random clusters the policies alone are wanted")]
mod generate;

use palomar_manifest::{ObjectKey, parse};
use palomar_policy::yaml::{Marked, to_yaml};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Every field of a policy's spec. A slip in any of them could mean more than was meant.
const FIELDS: [&str; 17] = [
    "podSelector:",
    "namespaceSelector:",
    "matchLabels:",
    "matchExpressions:",
    "policyTypes:",
    "ingress:",
    "egress:",
    "from:",
    "to:",
    "ports:",
    "ipBlock:",
    "cidr:",
    "except:",
    "protocol:",
    "port:",
    "endPort:",
    "operator:",
];

fn texts(cluster: &generate::Cluster) -> Vec<(ObjectKey, String)> {
    let policies = cluster.world.policies.values();
    let text = |policy| to_yaml(policy, &Marked::default());
    policies.map(|policy| (ObjectKey::NetworkPolicy(policy.name.clone()), text(policy))).collect()
}

/// Where the fields of the spec stand in a text: the start and the end of each name.
fn fields_of(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for field in FIELDS {
        for (at, _) in text.match_indices(field) {
            let is_whole = text[..at].ends_with([' ', '\n']);
            found.extend(is_whole.then_some((at, at + field.len() - 1)));
        }
    }
    found
}

proptest! {
    #[test]
    fn a_slip_in_any_field_of_a_policy_is_refused_and_the_policy_is_still_named(
        cluster in generate::cluster(),
        chosen: Index,
        slip in select(vec!["x", "s", "_", "X"]),
    ) {
        for (key, text) in texts(&cluster) {
            let fields = fields_of(&text);
            let (start, end) = *chosen.get(&fields);
            let written = &text[start..end];
            let damaged = format!("{}{written}{slip}{}", &text[..start], &text[end..]);
            // One field is another's name and an "s".
            prop_assume!(!FIELDS.contains(&format!("{written}{slip}:").as_str()));
            let manifest = parse("damaged.yaml", &damaged);
            prop_assert!(!manifest.errors.is_empty(), "{}", damaged);
            prop_assert!(manifest.objects.is_empty());
            prop_assert!(manifest.named.contains(&key));
        }
    }

    #[test]
    fn any_damage_is_read_to_its_end_and_a_refused_file_gives_nothing_at_all(
        cluster in generate::cluster(),
        damages in prop::collection::vec((any::<Index>(), 0..40_usize, select(WORDS.to_vec())), 1..4),
    ) {
        let texts: Vec<String> = texts(&cluster).into_iter().map(|(_, text)| text).collect();
        let mut text = texts.join("---\n");
        for (from, length, word) in damages {
            let start = from.index(text.len() + 1);
            let end = (start + length).min(text.len());
            text.replace_range(start..end, word);
        }
        let manifest = parse("damaged.yaml", &text);
        prop_assert!(manifest.errors.is_empty() || manifest.objects.is_empty());
        for object in &manifest.objects {
            prop_assert!(manifest.named.contains(&object.key));
            prop_assert!(parse("again.yaml", &object.source).errors.is_empty());
        }
    }
}

const WORDS: [&str; 14] =
    ["", " ", "\n", ": ", "- ", "{}", "[]", "null", "\"", "#", "---\n", "*a", "&a ", "99999999999999999999"];
