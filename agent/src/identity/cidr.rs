//! Identities of world addresses inside policy ipBlocks.

use ipnet::IpNet;
use palomar_model::identity::Identity;
use palomar_model::labels::{Label, LabelSet};

/// What an address of this CIDR class (from 1) shows as: 16777216 + class, with the longest of the class's ranges.
/// Class 0 is no class, and one beyond 24 bits has no number: both show as the world.
pub fn cidr_identity(class: u32, longest: &IpNet) -> (Identity, LabelSet) {
    let world = Label::reserved("world");
    if (1..Identity::CIDR_BASE).contains(&class) {
        (Identity(Identity::CIDR_BASE + class), LabelSet::new(vec![Label::cidr(longest), world]))
    } else {
        (Identity::WORLD, LabelSet::new(vec![world]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_shows_as_its_longest_range_and_no_class_as_the_world() {
        let range: IpNet = "10.0.0.0/8".parse().unwrap();
        let (identity, labels) = cidr_identity(1, &range);
        assert_eq!(identity, Identity(16_777_217));
        assert_eq!(labels.to_strings(), ["cidr:10.0.0.0/8", "reserved:world"]);
        for class in [0, 1 << 24, u32::MAX] {
            assert_eq!(cidr_identity(class, &range).0, Identity::WORLD);
        }
    }
}
