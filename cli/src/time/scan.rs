//! The pieces of which times are written.

/// What is left of a text.
pub struct Scan<'a>(pub &'a str);

impl Scan<'_> {
    pub fn is_end(&self) -> bool {
        self.0.is_empty()
    }

    pub fn literal(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    /// At least one space, unless the text ends here.
    pub fn spaces(&mut self) -> Option<()> {
        let rest = self.0.trim_start_matches(' ');
        (self.is_end() || rest.len() < self.0.len()).then(|| self.0 = rest)
    }

    /// A number of exactly so many digits.
    pub fn digits(&mut self, count: usize) -> Option<u32> {
        let digits = self.0.get(..count).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        self.0 = &self.0[count..];
        digits.parse().ok()
    }

    pub fn one_or_two_digits(&mut self) -> Option<u32> {
        self.digits(2).or_else(|| self.digits(1))
    }

    /// Nanoseconds of `.123` or `,123`; zero if there is no fraction, which then is left where it stands.
    pub fn fraction(&mut self) -> u32 {
        let Some(rest) = self.0.strip_prefix(['.', ',']) else { return 0 };
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        if length == 0 {
            return 0;
        }
        self.0 = &rest[length..];
        let counted = &rest[..length.min(9)];
        format!("{counted:0<9}").parse().unwrap_or(0)
    }

    /// The number of the word that stands here, in any case.
    pub fn one_of(&mut self, words: &[&str]) -> Option<u32> {
        let found = words.iter().position(|word| {
            self.0.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
        })?;
        self.0 = &self.0[words[found].len()..];
        u32::try_from(found).ok()
    }
}
