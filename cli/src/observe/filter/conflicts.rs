//! Flags that cannot stand together.

/// Any two flags of one group contradict each other.
const GROUPS: [&[&str]; 19] = [
    &[
        "from-fqdn",
        "from-ip",
        "ip",
        "fqdn",
        "from-namespace",
        "namespace",
        "from-all-namespaces",
        "all-namespaces",
    ],
    &["from-fqdn", "from-ip", "ip", "fqdn", "from-pod", "pod"],
    &["to-fqdn", "to-ip", "ip", "fqdn", "to-namespace", "namespace", "to-all-namespaces", "all-namespaces"],
    &["to-fqdn", "to-ip", "ip", "fqdn", "to-pod", "pod"],
    &["to-pod", "namespace", "all-namespaces"],
    &["from-pod", "namespace", "all-namespaces"],
    &["to-service", "namespace", "all-namespaces"],
    &["from-service", "namespace", "all-namespaces"],
    &["label", "from-label"],
    &["label", "to-label"],
    &["service", "from-service"],
    &["service", "to-service"],
    &["port", "to-port"],
    &["port", "from-port"],
    &["identity", "to-identity"],
    &["identity", "from-identity"],
    &["workload", "to-workload"],
    &["workload", "from-workload"],
    &["encrypted", "unencrypted"],
];

/// Refuses the first two flags that contradict each other.
pub fn check(flags: &[String]) -> Result<(), String> {
    for group in GROUPS {
        let mut given = group.iter().filter(|name| flags.iter().any(|flag| flag == *name));
        if let (Some(one), Some(other)) = (given.next(), given.next()) {
            return Err(format!("filters --{one} and --{other} cannot be combined"));
        }
    }
    Ok(())
}
