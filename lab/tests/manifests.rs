//! What a lab writes for an agent is what a manifest reader takes. Needs root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use palomar_lab::{Lab, PodSpec, Topology, read_pods};
use palomar_manifest::Object;

const DEMO: [(&str, &str); 4] = [
    ("00-namespace.yaml", include_str!("../../deploy/np-demo/00-namespace.yaml")),
    ("10-pods.yaml", include_str!("../../deploy/np-demo/10-pods.yaml")),
    ("20-default-deny.yaml", include_str!("../../deploy/np-demo/20-default-deny.yaml")),
    ("30-allow-frontend.yaml", include_str!("../../deploy/np-demo/30-allow-frontend.yaml")),
];

#[test]
fn the_demos_manifests_are_right() {
    let count = |(file, text)| {
        let manifest = palomar_manifest::parse(file, text);
        assert!(manifest.errors.is_empty() && manifest.ignored.is_empty(), "{file}: {:?}", manifest.errors);
        manifest.objects.len()
    };
    assert_eq!(DEMO.map(count), [1, 4, 1, 1]);
}

#[test]
fn what_is_written_reads_back_with_addresses_and_follows_the_pods() {
    let mut pods = read_pods(DEMO[1].0, DEMO[1].1).unwrap();
    pods.push(PodSpec::new("other", "plain").label("a", "b"));
    let mut lab = Lab::new("labtman", Topology::Routed, pods).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let foreign = dir.path().join("20-policy.yaml");
    std::fs::write(&foreign, "").unwrap();
    lab.write_manifests(dir.path()).unwrap();
    assert_eq!(
        written(&lab, dir.path()),
        ["np-demo/frontend", "np-demo/other", "np-demo/web", "other/plain"]
    );
    lab.remove_pod("other/plain").unwrap();
    lab.remove_pod("np-demo/frontend").unwrap();
    lab.add_pods(vec![PodSpec::new("np-demo", "frontend")]).unwrap();
    lab.write_manifests(dir.path()).unwrap();
    assert_eq!(written(&lab, dir.path()), ["np-demo/frontend", "np-demo/other", "np-demo/web"]);
    assert!(foreign.exists());
}

/// The pods in the directory, each compared with the lab's.
fn written(lab: &Lab, dir: &std::path::Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let manifest = palomar_manifest::parse("x", &std::fs::read_to_string(&file).unwrap());
        assert!(manifest.errors.is_empty(), "{}: {:?}", file.display(), manifest.errors);
        for object in manifest.objects {
            match object.object {
                Object::Pod(pod) => {
                    let name = pod.name.to_string();
                    let (spec, place) = lab.pods().find(|(spec, _)| spec.name == pod.name).unwrap();
                    assert_eq!(
                        (&pod.addresses[..], &pod.labels),
                        (place.addresses(), &spec.labels),
                        "{name}"
                    );
                    assert_eq!(pod.node, lab.node_name());
                    names.push(name);
                }
                Object::Node(node) => {
                    assert_eq!((node.name, &node.addresses[..]), (lab.node_name(), lab.node().addresses()));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    names
}
