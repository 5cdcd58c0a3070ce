//! Colours, where they are wanted.

/// Whether to paint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    fn paint(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Important.
    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// Less important.
    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// Bad.
    pub(crate) fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// Good.
    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Careful.
    pub(crate) fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// Under way, or what to do.
    pub(crate) fn cyan(self, text: &str) -> String {
        self.paint("36", text)
    }

    /// A status in its colour.
    pub(crate) fn status(self, word: &str) -> String {
        self.like(word, word)
    }

    /// A text in the colour of a status.
    pub(crate) fn like(self, status: &str, text: &str) -> String {
        match status {
            "succeeded" | "done" | "ok" | "healthy" => self.green(text),
            "failed" | "stuck" | "in-doubt" | "fail" | "denied" | "unhealthy" | "exited" | "dead" => {
                self.red(text)
            }
            "running" | "queued" | "did" => self.cyan(text),
            "waiting" | "left" | "rolled-back" | "cancelled" | "warn" | "undone" => self.yellow(text),
            _ => self.dim(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_text_stays_as_it_is() {
        assert_eq!(Paint(false).status("failed"), "failed");
        assert_eq!(Paint(true).status("failed"), "\u{1b}[31mfailed\u{1b}[0m");
    }
}
