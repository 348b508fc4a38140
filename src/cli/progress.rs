//! How far long work has come: on a terminal, and nowhere else.

use std::{
    fs::File,
    io::{self, Read},
};

use indicatif::{ProgressBar, ProgressStyle};

/// A line that counts. It goes when the work is done, or given up.
pub(super) struct Progress {
    bar: ProgressBar,
    what: &'static str,
}

impl Progress {
    /// Begins to count what the word says.
    pub(super) fn start(what: &'static str) -> Self {
        Self::shown(ProgressBar::no_length(), what, "{spinner} {msg}, {elapsed}")
    }

    /// The same, of what is read from a file: so it is known how much of it is left.
    pub(super) fn of_file(what: &'static str, file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            // A pipe, say.
            return Ok(Self::start(what));
        }
        let bar = ProgressBar::new(metadata.len());
        Ok(Self::shown(bar, what, "{bar:30} {percent} %, {msg}, {elapsed}, {eta} left"))
    }

    fn shown(bar: ProgressBar, what: &'static str, template: &str) -> Self {
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
        let progress = Self { bar: bar.with_style(style), what };
        progress.at(0);
        progress
    }

    /// The file, as whoever works it off reads it.
    pub(super) fn reading(&self, file: File) -> impl Read + Send + use<> {
        self.bar.wrap_read(file)
    }

    /// So much is done.
    pub(super) fn at(&self, done: u64) {
        self.bar.set_message(format!("{done} {}", self.what));
    }

    /// Prints something on standard output without disturbing the line.
    pub(super) fn print(&self, line: &str) {
        self.bar.suspend(|| println!("{line}"));
    }

    /// Says something on standard error without disturbing the line.
    pub(super) fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
