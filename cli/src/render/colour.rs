//! Colours, in the byte sequences that Hubble's CLI writes.

/// Whether text is coloured, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Off,
    /// ANSI sequences.
    On,
}

/// What a colour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    /// An end of a flow.
    Host,
    /// Its port.
    Port,
    /// Its identity.
    Identity,
    /// Something that went well.
    Good,
    /// Something that did not.
    Bad,
    /// Something between.
    Notable,
    /// Nothing.
    None,
}

impl Colour {
    /// Appends what `write` writes, in a colour; as in Hubble, also if that is nothing.
    pub(super) fn paint(self, paint: Paint, out: &mut String, write: impl FnOnce(&mut String)) {
        let begin = match (self, paint) {
            (Self::Off, _) | (_, Paint::None) => return write(out),
            (_, Paint::Host) => "\x1b[36m",
            (_, Paint::Port | Paint::Notable) => "\x1b[33m",
            (_, Paint::Identity) => "\x1b[35m",
            (_, Paint::Good) => "\x1b[32m",
            (_, Paint::Bad) => "\x1b[31m",
        };
        out.push_str(begin);
        write(out);
        out.push_str("\x1b[0m");
    }
}
