//! How far long work has come: on a terminal, and nowhere else.

use indicatif::{ProgressBar, ProgressStyle};

/// A line that counts. It goes when the work is done, or given up.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Begins to count what the word says.
    pub(super) fn start(what: &'static str) -> Self {
        let template = "{spinner} {pos} {msg}, {per_sec}, {elapsed}";
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
        Self(ProgressBar::no_length().with_style(style).with_message(what))
    }

    /// So much is done.
    pub(super) fn at(&self, done: u64) {
        self.0.set_position(done);
    }

    /// Says something on standard error without disturbing the line.
    pub(super) fn say(&self, line: &str) {
        self.0.suspend(|| eprintln!("{line}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
