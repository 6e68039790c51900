//! Kubernetes manifests: pods in, and the same pods with their addresses out.

use std::fs;
use std::path::Path;

use palomar_manifest::Object;
use serde_json::{Value, json};

use crate::{Lab, LabError, Place, PodSpec};

/// What the files that [`Lab::write_manifests`] writes begin with; it owns every such file in the directory.
const PREFIX: &str = "lab-";

/// The pods of a manifest, in its order. Objects of other kinds are left out, and so are pods that share the node's
/// network: there is nothing to build for them. `file` is its name in errors.
///
/// # Errors
/// When anything in the manifest is wrong, pod or not.
pub fn read_pods(file: &str, text: &str) -> Result<Vec<PodSpec>, LabError> {
    let manifest = palomar_manifest::parse(file, text);
    if !manifest.errors.is_empty() {
        return Err(LabError::RefusedManifest {
            errors: manifest.errors.iter().map(ToString::to_string).collect(),
        });
    }
    let pod = |object: palomar_manifest::ManifestObject| match object.object {
        Object::Pod(pod) if !pod.host_network => Some(PodSpec {
            name: pod.name,
            addresses: pod.addresses,
            labels: pod.labels,
            manifest: serde_json::from_str(&object.source).ok(),
        }),
        _ => None,
    };
    Ok(manifest.objects.into_iter().filter_map(pod).collect())
}

// === impl Lab ===

impl Lab {
    /// The node's name in manifests: `<lab>-node`.
    pub fn node_name(&self) -> String {
        format!("{}-node", self.name())
    }

    /// Writes the node and each pod as the API server would show them, running and with their addresses, each in a file
    /// of its own; the files of pods that are gone are removed. A reader of the directory sees each file whole.
    ///
    /// # Errors
    /// When the directory is not there or cannot be written.
    pub fn write_manifests(&self, dir: &Path) -> Result<(), LabError> {
        let mut files = vec![(format!("{PREFIX}node.yaml"), self.node_manifest())];
        files.extend(self.pods().map(|(spec, place)| {
            let name = format!("{PREFIX}pod-{}-{}.yaml", spec.name.namespace, spec.name.name);
            (name, self.pod_manifest(spec, place))
        }));
        let io = |call| LabError::io(call, dir.display().to_string());
        for entry in fs::read_dir(dir).map_err(io("read"))? {
            let entry = entry.map_err(io("read"))?;
            let name = entry.file_name();
            let is_stale =
                |name: &str| name.starts_with(PREFIX) && !files.iter().any(|(file, _)| file == name);
            if name.to_str().is_some_and(is_stale) {
                fs::remove_file(entry.path()).map_err(io("remove a file of"))?;
            }
        }
        files.iter().try_for_each(|(name, object)| write_manifest(dir, name, &to_yaml(object)))
    }

    fn node_manifest(&self) -> Value {
        let addresses = self.node().addresses().iter();
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": { "name": self.node_name() },
            "status": { "addresses": addresses.map(|a| json!({ "type": "InternalIP", "address": a })).collect::<Vec<_>>() },
        })
    }

    fn pod_manifest(&self, spec: &PodSpec, place: &Place) -> Value {
        let mut object = spec.manifest.clone().unwrap_or_else(|| {
            json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": { "namespace": spec.name.namespace, "name": spec.name.name, "labels": spec.labels },
            })
        });
        let addresses = place.addresses();
        object["spec"]["nodeName"] = json!(self.node_name());
        object["status"] = json!({
            "phase": "Running",
            "podIP": place.address(),
            "podIPs": addresses.iter().map(|address| json!({ "ip": address })).collect::<Vec<_>>(),
        });
        object
    }
}

/// Puts a file in place in one step, by way of a name that no reader of manifests takes for one.
///
/// # Errors
/// When the directory is not there or cannot be written.
pub fn write_manifest(dir: &Path, name: &str, text: &str) -> Result<(), LabError> {
    let hidden = dir.join(format!(".{name}.new"));
    let path = dir.join(name);
    let written = fs::write(&hidden, text).and_then(|()| fs::rename(&hidden, &path));
    written.map_err(LabError::io("write", path.display().to_string()))
}

fn to_yaml(object: &Value) -> String {
    serde_saphyr::to_string(object).expect("invariant: a JSON value can be written as YAML")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_read_and_what_has_no_network_of_its_own_is_left_out() {
        let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n\
            apiVersion: v1\nkind: Pod\nmetadata: {namespace: a, name: web, labels: {app: web}}\n---\n\
            apiVersion: v1\nkind: Pod\nmetadata: {namespace: a, name: agent}\nspec: {hostNetwork: true}\n";
        let pods = read_pods("x.yaml", text).unwrap();
        assert_eq!(pods.len(), 1);
        assert_eq!((pods[0].name.to_string().as_str(), pods[0].labels["app"].as_str()), ("a/web", "web"));
        assert!(pods[0].addresses.is_empty());
    }

    #[test]
    fn an_error_names_file_and_line() {
        let error = read_pods("x.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {namespace: a, name: A}\n")
            .unwrap_err();
        assert!(error.to_string().starts_with("x.yaml:3"), "{error}");
    }
}
