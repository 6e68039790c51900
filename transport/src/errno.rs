//! What the system says, in Go's words.

use std::io;

/// `connection refused`, `no such file or directory`: the system's text, with a small first letter and without its
/// number.
pub fn text(error: &io::Error) -> String {
    let text = error.to_string();
    let (Some(_), Some((text, _))) = (error.raw_os_error(), text.split_once(" (os error ")) else {
        return text;
    };
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_read_as_gos() {
        for (number, wanted) in
            [(2, "no such file or directory"), (13, "permission denied"), (111, "connection refused")]
        {
            assert_eq!(text(&io::Error::from_raw_os_error(number)), wanted);
        }
        assert_eq!(text(&io::Error::other("Own words")), "Own words");
    }
}
