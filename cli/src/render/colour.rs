//! Colours, in the byte sequences that Hubble's CLI writes.

/// Whether text is coloured, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Off,
    /// ANSI sequences.
    On,
}

#[derive(Debug, Clone, Copy)]
enum Code {
    Red = 31,
    Green = 32,
    Yellow = 33,
    Magenta = 35,
    Cyan = 36,
}

impl Colour {
    pub(super) fn host(self, text: &str) -> String {
        self.paint(Code::Cyan, text)
    }

    pub(super) fn port(self, text: &str) -> String {
        self.paint(Code::Yellow, text)
    }

    pub(super) fn identity(self, text: &str) -> String {
        self.paint(Code::Magenta, text)
    }

    pub(super) fn good(self, text: &str) -> String {
        self.paint(Code::Green, text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.paint(Code::Red, text)
    }

    pub(super) fn notable(self, text: &str) -> String {
        self.paint(Code::Yellow, text)
    }

    fn paint(self, code: Code, text: &str) -> String {
        match self {
            Self::On if !text.is_empty() => format!("\x1b[{}m{text}\x1b[0m", code as u8),
            _ => text.to_owned(),
        }
    }
}
