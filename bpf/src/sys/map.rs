//! Calls on maps.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use aya_obj::generated::bpf_cmd;

use super::attr::Attr;
use super::object::{info, u32_at};

/// What a map is; two maps with equal shapes hold the same kind of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) kind: u32,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) max_entries: u32,
    pub(crate) flags: u32,
}

/// The types in the object's BTF that a map's keys and values have.
pub(crate) struct Types<'a> {
    pub(crate) btf: &'a OwnedFd,
    pub(crate) key: u32,
    pub(crate) value: u32,
}

pub(crate) fn create(name: &str, shape: Shape, types: Option<&Types<'_>>) -> io::Result<OwnedFd> {
    let mut attr = Attr::new()
        .u32(0, shape.kind)
        .u32(4, shape.key_size)
        .u32(8, shape.value_size)
        .u32(12, shape.max_entries)
        .u32(16, shape.flags)
        .name(28, name);
    if let Some(Types { btf, key, value }) = types {
        attr = attr.fd(48, *btf).u32(52, *key).u32(56, *value);
    }
    attr.call_fd(bpf_cmd::BPF_MAP_CREATE)
}

pub(crate) fn shape(map: &impl AsFd) -> io::Result<Shape> {
    let info: [u8; 24] = info(map)?;
    Ok(Shape {
        kind: u32_at(&info, 0),
        key_size: u32_at(&info, 8),
        value_size: u32_at(&info, 12),
        max_entries: u32_at(&info, 16),
        flags: u32_at(&info, 20),
    })
}

/// Kernel memory of the map in bytes, as its fdinfo says; kernels before 6.4 estimate it.
pub(crate) fn memory(map: &impl AsFd) -> io::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", map.as_fd().as_raw_fd()))?;
    text.lines()
        .find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok())
        .ok_or_else(|| io::Error::other("fdinfo has no memlock line"))
}

/// Makes the map read-only for user space, which lets the verifier take its content as constant.
pub(crate) fn freeze(map: &impl AsFd) -> io::Result<()> {
    Attr::new().fd(0, map).call(bpf_cmd::BPF_MAP_FREEZE).map(drop)
}

pub(crate) fn update(map: &impl AsFd, key: &[u8], value: &[u8]) -> io::Result<()> {
    Attr::new().fd(0, map).input(8, key).input(16, value).call(bpf_cmd::BPF_MAP_UPDATE_ELEM).map(drop)
}

/// Enters what is not there yet; `false` where it is.
pub(crate) fn insert_absent(map: &impl AsFd, key: &[u8], value: &[u8]) -> io::Result<bool> {
    const NO_EXIST: u64 = 1;
    let attr = Attr::new().fd(0, map).input(8, key).input(16, value).u64(24, NO_EXIST);
    match { attr }.call(bpf_cmd::BPF_MAP_UPDATE_ELEM) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Fills `value`; `false` where the key is absent. Of a per-CPU map, `value` holds one rounded value a possible CPU.
pub(crate) fn lookup(map: &impl AsFd, key: &[u8], value: &mut [u8]) -> io::Result<bool> {
    let found = Attr::new().fd(0, map).input(8, key).output(16, value).call(bpf_cmd::BPF_MAP_LOOKUP_ELEM);
    absent_is_false(found)
}

/// `false` where the key was absent.
pub(crate) fn delete(map: &impl AsFd, key: &[u8]) -> io::Result<bool> {
    absent_is_false(Attr::new().fd(0, map).input(8, key).call(bpf_cmd::BPF_MAP_DELETE_ELEM))
}

fn absent_is_false(result: io::Result<i64>) -> io::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What a batch did: how many entries were done before `error`, if there is one.
pub(crate) struct Batch {
    pub(crate) done: usize,
    pub(crate) error: Option<io::Error>,
}

fn batch(mut attr: Attr<'_>, command: bpf_cmd, count: usize) -> Batch {
    // EFAULT before the first entry leaves `count` as it was written; then nothing is done.
    let error = attr.call(command).err();
    let counted = attr.get_u32(32) as usize;
    let done = match &error {
        None => count,
        Some(error) if error.raw_os_error() == Some(libc::EFAULT) => 0,
        Some(_) => counted.min(count),
    };
    Batch { done, error }
}

/// Enters `count` pairs that lie one after another in `keys` and `values`; stops at the first error.
pub(crate) fn update_batch(map: &impl AsFd, keys: &[u8], values: &[u8], count: usize) -> Batch {
    let attr = Attr::new().input(16, keys).input(24, values).length(32, count).fd(36, map);
    batch(attr, bpf_cmd::BPF_MAP_UPDATE_BATCH, count)
}

/// Removes `count` keys; stops at the first error, which is `ENOENT` for an absent key.
pub(crate) fn delete_batch(map: &impl AsFd, keys: &[u8], count: usize) -> Batch {
    let attr = Attr::new().input(16, keys).length(32, count).fd(36, map);
    batch(attr, bpf_cmd::BPF_MAP_DELETE_BATCH, count)
}

/// Fills `keys` and `values` with up to `count` entries after `from`, and `next` with where to go on; `None` starts.
/// The error is `ENOENT` at the end, `ENOSPC` where a bucket of a hash does not fit.
pub(crate) fn lookup_batch(
    map: &impl AsFd,
    from: Option<&[u8]>,
    next: &mut [u8],
    keys: &mut [u8],
    values: &mut [u8],
    count: usize,
) -> Batch {
    let mut attr =
        Attr::new().output(8, next).output(16, keys).output(24, values).length(32, count).fd(36, map);
    if let Some(from) = from {
        attr = attr.input(0, from);
    }
    let error = attr.call(bpf_cmd::BPF_MAP_LOOKUP_BATCH).err();
    let counted = attr.get_u32(32) as usize;
    let done = match error.as_ref().and_then(io::Error::raw_os_error) {
        None | Some(libc::ENOENT) => counted.min(count),
        Some(_) => 0,
    };
    Batch { done, error }
}
