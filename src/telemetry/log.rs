//! The log: lines on standard error.

use std::{
    io::{self, BufWriter, Stderr, Write},
    sync::OnceLock,
};

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};

use super::{
    gathering::gather,
    json_lines::JsonLines,
    lines::{Fields, Stamp},
};

/// Lines that wait to be written; what comes on top of them is dropped.
const LINES_WAITING_MAX: usize = 16 * 1024;

/// Bytes that are gathered.
const GATHERED_BYTES: usize = 64 * 1024;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// The least severe level that is logged.
    pub level: LevelFilter,
    /// How lines look.
    pub format: LogFormat,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { level: LevelFilter::INFO, format: LogFormat::Human }
    }
}

/// Writes what is still waiting when it is dropped.
#[derive(Debug)]
pub struct LogGuard(#[expect(dead_code, reason = "held for its Drop")] WorkerGuard);

/// Counts lines that found no room.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// Lines that found no room since the start.
pub(super) fn lines_dropped() -> u64 {
    DROPPED.get().map_or(0, |counter| counter.dropped_lines() as u64)
}

/// Starts logging, once a process.
pub fn init(settings: LogSettings) -> LogGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_WAITING_MAX)
        .finish(Gathered(BufWriter::with_capacity(GATHERED_BYTES, io::stderr())));
    let _ = DROPPED.set(writer.error_counter());
    let builder = tracing_subscriber::fmt()
        .with_timer(Stamp)
        .with_writer(writer)
        .with_max_level(settings.level)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()));
    let started = match settings.format {
        LogFormat::Human => builder.fmt_fields(Fields).try_init(),
        LogFormat::Json => builder.event_format(JsonLines).try_init(),
    };
    if started.is_err() {
        // Only a test that starts two gateways in one process gets here; the first log goes on.
        tracing::debug!("logging was started before");
    }
    LogGuard(guard)
}

/// Standard error. Whoever writes to it flushes it when no line waits; those that come in the moment after that are
/// written together.
struct Gathered(BufWriter<Stderr>);

impl Write for Gathered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        gather();
        Ok(())
    }
}
