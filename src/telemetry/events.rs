//! Audit events as JSON lines: to standard output, to a file that is rotated, or to whoever takes them from the queue.
//!
//! Invariants: whoever records an event never waits; what finds the queue full is counted as lost; a file is readable
//! by its owner alone, and one that was moved away is begun anew.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
};

use tokio::sync::mpsc;
use tracing::error;

use super::{Metrics, gathering::gather};

/// Events that wait to be written.
const WAITING_MAX: usize = 16 * 1024;

/// Events that are written at once: so much more than its bound may a file have.
const BATCH_MAX: usize = 256;

/// Where audit events go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AuditTarget {
    /// Into the log, with the target `audit`.
    #[default]
    Log,
    /// JSON lines on standard output.
    Stdout,
    /// JSON lines in a file.
    File(AuditFile),
    /// JSON lines in a stream of Redis.
    Redis,
}

/// A file that is rotated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFile {
    /// Which file. Older ones have `.1`, `.2` … after their name.
    pub path: PathBuf,
    /// Bytes of it; one more line begins a new one.
    pub bytes_max: u64,
    /// Files beside it.
    pub files_max: u32,
}

/// Takes events from whoever records them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EventSender {
    queue: mpsc::Sender<String>,
    metrics: Metrics,
}

impl EventSender {
    /// A queue, and where its events come out.
    pub fn queue(metrics: Metrics) -> (Self, mpsc::Receiver<String>) {
        let (queue, events) = mpsc::channel(WAITING_MAX);
        (Self { queue, metrics }, events)
    }

    /// Sends one line, without its end.
    pub(super) fn send(&self, line: String) {
        if self.queue.try_send(line).is_err() {
            self.metrics.audit_event_lost();
        }
    }
}

/// Writes until the last sender is gone, on a thread of its own.
pub fn write_events(
    mut events: mpsc::Receiver<String>,
    target: AuditTarget,
    metrics: Metrics,
) -> io::Result<JoinHandle<()>> {
    let mut out: Box<dyn LineWriter> = match target {
        AuditTarget::File(file) => Box::new(Rotated::open(file)?),
        AuditTarget::Stdout | AuditTarget::Log | AuditTarget::Redis => Box::new(Stdout),
    };
    thread::Builder::new().name("audit".into()).spawn(move || {
        let mut was_written = true;
        while let Some(mut lines) = events.blocking_recv() {
            lines.push('\n');
            let mut count = 1;
            // What waits is written at once.
            while count < BATCH_MAX
                && let Ok(line) = events.try_recv()
            {
                lines.push_str(&line);
                lines.push('\n');
                count += 1;
            }
            let written = out.write_lines(&lines);
            if let Err(error) = &written {
                // Once, and not for every line of an hour.
                if was_written {
                    error!(%error, "audit events cannot be written");
                }
                (0..count).for_each(|_| metrics.audit_event_lost());
            }
            was_written = written.is_ok();
            gather();
        }
    })
}

trait LineWriter: Send {
    fn write_lines(&mut self, lines: &str) -> io::Result<()>;
}

struct Stdout;

impl LineWriter for Stdout {
    fn write_lines(&mut self, lines: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(lines.as_bytes())?;
        out.flush()
    }
}

struct Rotated {
    settings: AuditFile,
    file: File,
    bytes: u64,
    /// Whether the last rotation failed, as was said then.
    is_stuck: bool,
}

impl Rotated {
    fn open(settings: AuditFile) -> io::Result<Self> {
        let file = append(&settings.path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { settings, file, bytes, is_stuck: false })
    }

    /// Whether the name leads to another file by now, or to none.
    fn was_moved(&self) -> io::Result<bool> {
        let own = self.file.metadata()?;
        let named = fs::metadata(&self.settings.path);
        Ok(!named.is_ok_and(|named| (named.dev(), named.ino()) == (own.dev(), own.ino())))
    }

    fn rotate(&mut self) -> io::Result<()> {
        let AuditFile { path, files_max, .. } = &self.settings;
        for n in (1..*files_max).rev() {
            let older = numbered(path, n);
            if older.exists() {
                fs::rename(older, numbered(path, n + 1))?;
            }
        }
        if *files_max > 0 { fs::rename(path, numbered(path, 1)) } else { fs::remove_file(path) }
    }
}

impl LineWriter for Rotated {
    fn write_lines(&mut self, lines: &str) -> io::Result<()> {
        let length = lines.len() as u64;
        if !self.was_moved()? && self.bytes > 0 && self.bytes + length > self.settings.bytes_max {
            // What cannot be moved away goes on: an event is worth more than a bound.
            let rotated = self.rotate();
            if let Err(error) = &rotated
                && !self.is_stuck
            {
                error!(%error, "the file of audit events cannot be rotated, and grows");
            }
            self.is_stuck = rotated.is_err();
        }
        if self.was_moved()? {
            self.file = append(&self.settings.path)?;
            self.bytes = self.file.metadata()?.len();
        }
        let written = self.file.write_all(lines.as_bytes());
        match &written {
            Ok(()) => self.bytes += length,
            // Half a line would spoil the next one.
            Err(_) => self.file.set_len(self.bytes)?,
        }
        written
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn numbered(path: &Path, n: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dir: &Path) -> AuditFile {
        AuditFile { path: dir.join("audit.log"), bytes_max: 10, files_max: 2 }
    }

    #[test]
    fn a_file_is_rotated_by_its_size_and_so_many_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut out = Rotated::open(file(dir.path())).unwrap();
        for line in ["one-one\n", "two-two\n", "three-three-three\n", "four\n"] {
            out.write_lines(line).unwrap();
        }
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!([read("audit.log"), read("audit.log.1")], ["four\n", "three-three-three\n"]);
        assert_eq!(read("audit.log.2"), "two-two\n");
        assert!(!dir.path().join("audit.log.3").exists());
        let mode = fs::metadata(dir.path().join("audit.log")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_cannot_be_rotated_is_written_on() {
        let dir = tempfile::tempdir().unwrap();
        // A directory in the place of the older file cannot be replaced.
        fs::create_dir_all(dir.path().join("audit.log.1/occupied")).unwrap();
        let mut out = Rotated::open(AuditFile { files_max: 1, ..file(dir.path()) }).unwrap();
        for line in ["one-one\n", "two-two\n"] {
            out.write_lines(line).unwrap();
        }
        assert_eq!(fs::read_to_string(dir.path().join("audit.log")).unwrap(), "one-one\ntwo-two\n");
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let mut out = Rotated::open(file(dir.path())).unwrap();
        out.write_lines("before\n").unwrap();
        fs::rename(dir.path().join("audit.log"), dir.path().join("elsewhere")).unwrap();
        out.write_lines("after\n").unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("elsewhere")).unwrap(), "before\n");
        assert_eq!(fs::read_to_string(dir.path().join("audit.log")).unwrap(), "after\n");
    }

    #[test]
    fn what_finds_the_queue_full_is_counted() {
        let metrics = Metrics::new();
        let (sender, events) = EventSender::queue(metrics.clone());
        for _ in 0..WAITING_MAX + 3 {
            sender.send("x".into());
        }
        assert!(metrics.text().unwrap().contains("tfa_gateway_audit_events_lost_total 3\n"));
        drop(events);
    }
}
