//! Messages as gRPC frames them: a byte that says they are not compressed, their length, themselves.

use prost::bytes::{Buf, Bytes};

const HEAD: usize = 5;

/// Appends the message that `write` appends, framed.
pub fn frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; HEAD]);
    write(out);
    // longer ones would not fit into gRPC; names would have to be gigabytes long
    let length = u32::try_from(out.len() - at - HEAD).expect("invariant: a message is far below 4 GiB");
    out[at + 1..at + HEAD].copy_from_slice(&length.to_be_bytes());
}

/// The messages in some framed bytes.
pub fn messages(mut frames: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        frames.has_remaining().then(|| {
            frames.get_u8();
            let length = usize::try_from(frames.get_u32()).expect("invariant: usize has at least 32 bits");
            frames.split_to(length)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framed_messages_are_found_again() {
        let mut out = Vec::new();
        let all: [&[u8]; 4] = [b"one", b"", &[7; 300], b"last"];
        for message in all {
            frame(&mut out, |out| out.extend_from_slice(message));
        }
        assert_eq!(out[..8], [0, 0, 0, 0, 3, b'o', b'n', b'e']);
        assert!(messages(out.into()).eq(all.iter().map(|message| Bytes::from_static(message))));
    }
}
