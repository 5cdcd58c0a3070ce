//! Long texts made to fit. An output is at most 1 MiB of JSON, and JSON may need several bytes for one of text.

/// The beginning of a text, at most so many bytes, cut between characters.
pub fn beginning(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// The end of a text, at most so many bytes, cut between characters.
pub fn end(text: &str, bytes: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(bytes))..]
}

#[cfg(test)]
mod tests {
    use super::{beginning, end};

    #[test]
    fn between_characters() {
        assert_eq!((beginning("größe", 3), end("größe", 3)), ("gr", "ße"));
        assert_eq!((beginning("größe", 99), end("größe", 99)), ("größe", "größe"));
        assert_eq!((beginning("größe", 0), end("größe", 0)), ("", ""));
    }
}
