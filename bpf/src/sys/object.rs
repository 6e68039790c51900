//! What maps, programs and links have in common: pins and info.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use aya_obj::generated::bpf_cmd;

use super::attr::Attr;

fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

/// Gives the object a name on bpffs; `AlreadyExists` where there is one.
pub(crate) fn pin(fd: &impl AsFd, path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    Attr::new().input(0, path.as_bytes_with_nul()).fd(8, fd).call(bpf_cmd::BPF_OBJ_PIN).map(drop)
}

/// Opens a pinned object.
pub(crate) fn open(path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    Attr::new().input(0, path.as_bytes_with_nul()).call_fd(bpf_cmd::BPF_OBJ_GET)
}

/// The leading bytes of the object's `bpf_*_info`; what the kernel does not know stays zero.
pub(super) fn info<const LENGTH: usize>(fd: &impl AsFd) -> io::Result<[u8; LENGTH]> {
    let mut info = [0; LENGTH];
    Attr::new().fd(0, fd).length(4, LENGTH).output(8, &mut info).call(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD)?;
    Ok(info)
}

/// Loads BTF, so that the kernel can name the types of maps and programs.
pub(crate) fn load_btf(btf: &[u8]) -> io::Result<OwnedFd> {
    Attr::new().input(0, btf).length(16, btf.len()).call_fd(bpf_cmd::BPF_BTF_LOAD)
}

pub(super) fn u32_at(info: &[u8], offset: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&info[offset..offset + 4]);
    u32::from_ne_bytes(value)
}
