//! The manifests of the story, as they would be applied to a cluster.

/// A manifest: its file name below `deploy/np-demo`, and its text.
pub type File = (&'static str, &'static str);

/// The namespace.
pub const NAMESPACE: File =
    ("00-namespace.yaml", include_str!("../../../../../deploy/np-demo/00-namespace.yaml"));
/// The pods and the service.
pub const PODS: File = ("10-pods.yaml", include_str!("../../../../../deploy/np-demo/10-pods.yaml"));
/// Nobody may connect to web.
pub const DEFAULT_DENY: File =
    ("20-default-deny.yaml", include_str!("../../../../../deploy/np-demo/20-default-deny.yaml"));
/// frontend may.
pub const ALLOW_FRONTEND: File =
    ("30-allow-frontend.yaml", include_str!("../../../../../deploy/np-demo/30-allow-frontend.yaml"));
