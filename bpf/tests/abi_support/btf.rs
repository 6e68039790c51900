//! As much of a BTF reader as the comparison needs: structs with the offsets of their fields, enums with their values.
//! The format: Documentation/bpf/btf.rst of the kernel.

/// `.BTF` of an object file.
pub struct Btf {
    types: Vec<u8>,
    strings: Vec<u8>,
}

struct Type<'a> {
    name: String,
    kind: u32,
    size: u32,
    members: Vec<&'a [u8]>,
}

const STRUCT: u32 = 4;
const ENUM: u32 = 6;

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

impl Btf {
    pub fn of_object(object: &[u8]) -> Self {
        let btf = section(object, ".BTF");
        let header = word(&btf, 4) as usize;
        let part = |at: usize| {
            let start = header + word(&btf, at) as usize;
            btf[start..start + word(&btf, at + 4) as usize].to_vec()
        };
        Self { types: part(8), strings: part(16) }
    }

    /// Size of a struct, and its fields with their offsets, both in bytes.
    pub fn structure(&self, name: &str) -> (u32, Vec<(String, u32)>) {
        let found = self.find(name, STRUCT);
        let field = |member: &&[u8]| {
            let bits = word(member, 8) & 0x00ff_ffff;
            assert_eq!(bits % 8, 0, "struct {name} has bit fields");
            (self.string(word(member, 0)), bits / 8)
        };
        (found.size, found.members.iter().map(field).collect())
    }

    /// Names and values of an enum, in order.
    pub fn enumeration(&self, name: &str) -> Vec<(String, u32)> {
        let found = self.find(name, ENUM);
        found.members.iter().map(|member| (self.string(word(member, 0)), word(member, 4))).collect()
    }

    fn find(&self, name: &str, kind: u32) -> Type<'_> {
        let mut rest = self.types.as_slice();
        while !rest.is_empty() {
            let (found, after) = self.read(rest);
            if found.kind == kind && found.name == name {
                return found;
            }
            rest = after;
        }
        panic!("the BTF has no {name}; name it in c/abi.bpf.c");
    }

    fn read<'a>(&self, bytes: &'a [u8]) -> (Type<'a>, &'a [u8]) {
        let info = word(bytes, 4);
        let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        // Bytes after the common part: once, and for each member.
        let (once, each) = match kind {
            1 | 14 | 17 => (4, 0),      // int, variable, declaration tag
            3 => (12, 0),               // array
            4 | 5 | 15 | 19 => (0, 12), // struct, union, data section, enum of 64 bits
            6 | 13 => (0, 8),           // enum, function prototype
            _ => (0, 0),
        };
        let body = &bytes[12 + once..12 + once + count * each];
        let members = if each == 0 { Vec::new() } else { body.chunks(each).collect() };
        // A function keeps its linkage where others keep their number of members.
        let end = if each == 0 { 12 + once } else { 12 + count * each };
        let found = Type { name: self.string(word(bytes, 0)), kind, size: word(bytes, 8), members };
        (found, &bytes[end..])
    }

    fn string(&self, at: u32) -> String {
        let text = &self.strings[at as usize..];
        let end = text.iter().position(|byte| *byte == 0).unwrap();
        String::from_utf8(text[..end].to_vec()).unwrap()
    }
}

/// A section of a little-endian ELF file of 64 bits.
fn section(elf: &[u8], wanted: &str) -> Vec<u8> {
    let half = |at: usize| u16::from_le_bytes(elf[at..at + 2].try_into().unwrap()) as usize;
    let long = |at: usize| usize::try_from(u64::from_le_bytes(elf[at..at + 8].try_into().unwrap())).unwrap();
    let (table, size, count, names) = (long(40), half(58), half(60), half(62));
    let header = |index: usize| table + index * size;
    let content = |index: usize| &elf[long(header(index) + 24)..][..long(header(index) + 32)];
    let name = |index: usize| {
        let text = &content(names)[word(elf, header(index)) as usize..];
        text[..text.iter().position(|byte| *byte == 0).unwrap()].to_vec()
    };
    let found = (1..count).find(|index| name(*index) == wanted.as_bytes());
    content(found.unwrap_or_else(|| panic!("the object has no section {wanted}"))).to_vec()
}
