//! What memory things take.

use std::fs;

/// Bytes of the kernel for two of its tables.
#[derive(Debug, Clone, Copy, Default)]
pub struct KernelBytes {
    pub rules: u64,
    pub addresses: u64,
}

/// Bytes of this process that are in memory.
pub fn heap() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells it");
    field(&status, "RssAnon:").expect("Linux tells it") * 1024
}

/// What the kernel tells of the maps that this process has open. A map is known by its type and the size of its key.
pub fn kernel_bytes() -> KernelBytes {
    const LPM_TRIE: u64 = 11;
    const HASH: u64 = 1;
    let (mut found, mut seen) = (KernelBytes::default(), Vec::new());
    for entry in fs::read_dir("/proc/self/fdinfo").expect("Linux has it").flatten() {
        // one that was closed meanwhile
        let Ok(text) = fs::read_to_string(entry.path()) else { continue };
        let Some(id) = field(&text, "map_id:").filter(|id| !seen.contains(id)) else { continue };
        seen.push(id);
        let of = |name| field(&text, name).unwrap_or(0);
        match (of("map_type:"), of("key_size:"), of("value_size:")) {
            (LPM_TRIE, 16, 8) => found.rules = of("memlock:"),
            (HASH, 16, 16) => found.addresses = of("memlock:"),
            _ => {}
        }
    }
    found
}

fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}
