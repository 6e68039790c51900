//! Calls on programs.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use aya_obj::Function;
use aya_obj::generated::{bpf_attach_type, bpf_cmd, bpf_insn, bpf_prog_type};

use super::attr::Attr;
use super::object::{info, u32_at};

/// Bytes of one instruction.
const INSTRUCTION: usize = 8;
/// Room for the verifier's words where it refuses.
const LOG: usize = 1 << 20;

/// A refusal, with what the verifier said.
pub(crate) struct Refused {
    pub(crate) error: io::Error,
    pub(crate) log: String,
}

/// What a program is loaded as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A tc classifier.
    Classifier,
    /// On a tracepoint whose arguments have this type in the kernel's BTF.
    Tracepoint { btf_id: u32 },
}

/// Loads a program.
pub(crate) fn load(
    kind: Kind,
    name: &str,
    license: &CStr,
    function: &Function,
    btf: Option<&OwnedFd>,
) -> Result<OwnedFd, Refused> {
    let instructions = encode(&function.instructions);
    let functions = function.func_info.func_info_bytes();
    let lines = function.line_info.line_info_bytes();
    let attr = || {
        let attr = Attr::new()
            .length(4, function.instructions.len())
            .input(8, &instructions)
            .input(16, license.to_bytes_with_nul())
            .name(48, name);
        let attr = match kind {
            Kind::Classifier => attr.u32(0, bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS as u32),
            Kind::Tracepoint { btf_id } => attr
                .u32(0, bpf_prog_type::BPF_PROG_TYPE_TRACING as u32)
                .u32(68, bpf_attach_type::BPF_TRACE_RAW_TP as u32)
                .u32(108, btf_id),
        };
        let Some(btf) = btf else { return attr };
        attr.fd(72, btf)
            .length(76, function.func_info_rec_size)
            .input(80, &functions)
            .length(88, function.func_info.len())
            .length(92, function.line_info_rec_size)
            .input(96, &lines)
            .length(104, function.line_info.len())
    };
    retried(|| attr().call_fd(bpf_cmd::BPF_PROG_LOAD)).or_else(|error| {
        // Once more, with a log: asking for it in every case would cost its memory each time.
        let mut log = vec![0; LOG];
        let logged = attr().u32(24, 1).length(28, LOG).output(32, &mut log).call_fd(bpf_cmd::BPF_PROG_LOAD);
        logged.map_err(|_| {
            let log = CStr::from_bytes_until_nul(&log).unwrap_or_default();
            Refused { error, log: log.to_string_lossy().into_owned() }
        })
    })
}

/// Puts a loaded program on the tracepoint that it was loaded for, until the descriptor is closed.
pub(crate) fn attach_tracepoint(program: &impl AsFd) -> io::Result<OwnedFd> {
    Attr::new().fd(8, program).call_fd(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN)
}

/// A signal ends the verifier early with `EAGAIN` (`do_check` in kernel/bpf/verifier.c), which says nothing about the
/// program.
fn retried(mut load: impl FnMut() -> io::Result<OwnedFd>) -> io::Result<OwnedFd> {
    const ATTEMPTS: usize = 10;
    for _ in 1..ATTEMPTS {
        match load() {
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
            other => return other,
        }
    }
    load()
}

fn encode(instructions: &[bpf_insn]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(instructions.len() * INSTRUCTION);
    for instruction in instructions {
        let registers = if cfg!(target_endian = "little") {
            instruction.src_reg() << 4 | instruction.dst_reg()
        } else {
            instruction.dst_reg() << 4 | instruction.src_reg()
        };
        bytes.extend_from_slice(&[instruction.code, registers]);
        bytes.extend_from_slice(&instruction.off.to_ne_bytes());
        bytes.extend_from_slice(&instruction.imm.to_ne_bytes());
    }
    bytes
}

/// The kernel's number of a loaded program.
pub(crate) fn id(program: &impl AsFd) -> io::Result<u32> {
    let info: [u8; 8] = info(program)?;
    Ok(u32_at(&info, 4))
}

/// What a test run gave back.
pub(crate) struct Run {
    pub(crate) returned: u32,
    pub(crate) mean_ns: u32,
}

/// Runs a loaded program on a packet, without changing the packet.
pub(crate) fn test_run(program: &impl AsFd, packet: &[u8], times: u32) -> io::Result<Run> {
    let mut attr = Attr::new().fd(0, program).length(8, packet.len()).input(16, packet).u32(32, times);
    attr.call(bpf_cmd::BPF_PROG_TEST_RUN)?;
    Ok(Run { returned: attr.get_u32(4), mean_ns: attr.get_u32(36) })
}
