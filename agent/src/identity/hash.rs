//! The hash that numbers begin at: FNV-1a, 64 bits, folded. It is part of what nodes agree on, and never changes.
//!
//! The input is a sequence of texts, each followed by a zero byte, which no text contains: the labels as they print
//! (`k8s:role=frontend`), sorted, for an identity. The offset basis is 0xcbf29ce484222325, the prime 0x100000001b3
//! (RFC 9923). The 64 bits are folded by exclusive or of their halves, and the rest of the division by the number of
//! values is counted from the first: 256 + hash mod 65280 for an identity.

/// Where the number for these texts begins, between `first` and `last`, both included.
pub(super) fn start<T: AsRef<str>>(texts: impl IntoIterator<Item = T>, first: u32, last: u32) -> u32 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for text in texts {
        for byte in text.as_ref().bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    let folded = (hash ^ (hash >> 32)) & u64::from(u32::MAX);
    let count = u64::from(last) - u64::from(first) + 1;
    let offset =
        u32::try_from(folded % count).expect("invariant: the rest is less than a count of 32-bit numbers");
    first + offset
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written down once; nodes of different versions must agree.
    #[test]
    fn the_hash_never_changes() {
        let labels = ["k8s:io.kubernetes.pod.namespace=np-demo", "k8s:role=frontend"];
        assert_eq!(start(labels, 256, 65_535), reference(&labels));
        assert_eq!(start::<&str>([], 0, u32::MAX), 0x8422_2325 ^ 0xcbf2_9ce4);
        assert_ne!(start(["a", "b"], 256, 65_535), start(["ab"], 256, 65_535));
    }

    fn reference(labels: &[&str]) -> u32 {
        let bytes: Vec<u8> = labels.iter().flat_map(|label| [label.as_bytes(), b"\0"].concat()).collect();
        let hash = bytes.iter().fold(14_695_981_039_346_656_037_u128, |hash, byte| {
            ((hash ^ u128::from(*byte)) * 1_099_511_628_211) % (1 << 64)
        });
        256 + u32::try_from(((hash ^ (hash >> 32)) % (1 << 32)) % 65_280).unwrap()
    }
}
