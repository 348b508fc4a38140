//! Time that a test can move, and the passcodes that belong to it.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use tempfile::TempDir;

use super::process::{quietly, scratch};

/// The clock of the processes that run under it: the machine's, moved by an offset that a test sets.
#[derive(Clone)]
pub(crate) struct Clock {
    moved: Option<Arc<TempDir>>,
    stands: bool,
}

impl Clock {
    /// The machine's own.
    pub(crate) fn real() -> Self {
        Self { moved: None, stands: false }
    }

    /// One that can be moved, by libfaketime and a file that it reads at every call.
    pub(crate) fn movable() -> Self {
        let clock = Self { moved: Some(Arc::new(scratch())), stands: false };
        clock.set_offset(0);
        clock
    }

    /// One that stands still until it is set, at a time in Unix seconds.
    pub(crate) fn standing_at(unix_secs: u64) -> Self {
        let clock = Self { moved: Some(Arc::new(scratch())), stands: true };
        clock.set(unix_secs);
        clock
    }

    /// Sets a clock that stands still.
    pub(crate) fn set(&self, unix_secs: u64) {
        assert!(self.stands, "it runs");
        self.write(&unix_secs.to_string());
    }

    /// Makes a command run under this clock.
    pub(crate) fn apply(&self, command: &mut Command) {
        let Some(file) = self.file() else { return };
        command
            // libc before jemalloc, with which Redis is linked: that asks for the time while it starts up,
            // and libfaketime allocates while it starts up.
            .env("LD_PRELOAD", format!("{}:libc.so.6", library().display()))
            .env("FAKETIME_TIMESTAMP_FILE", file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        if self.stands {
            command.env("FAKETIME_FMT", "%s");
        }
    }

    /// What it shows, in Unix seconds.
    #[expect(clippy::disallowed_methods, reason = "the tests' one look at the machine's clock")]
    pub(crate) fn now(&self) -> u64 {
        if self.stands {
            return self.written();
        }
        let real = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        real + self.offset()
    }

    /// Moves it on by so many seconds.
    pub(crate) fn advance(&self, secs: u64) {
        if self.stands {
            self.set(self.now() + secs);
        } else {
            self.set_offset(self.offset() + secs);
        }
    }

    /// Sets it back by so many seconds that it was moved on.
    pub(crate) fn set_back(&self, secs: u64) {
        self.set_offset(self.offset() - secs);
    }

    /// Moves it on, unless it is the machine's own, which goes on by itself.
    pub(crate) fn hurry(&self, secs: u64) {
        if self.moved.is_some() {
            self.advance(secs);
        }
    }

    fn file(&self) -> Option<PathBuf> {
        self.moved.as_ref().map(|dir| dir.path().join("offset"))
    }

    fn offset(&self) -> u64 {
        if self.moved.is_some() { self.written() } else { 0 }
    }

    fn set_offset(&self, secs: u64) {
        self.write(&format!("+{secs}"));
    }

    fn written(&self) -> u64 {
        let text = fs::read_to_string(self.file().expect("a movable clock")).expect("the time");
        text.trim().trim_start_matches('+').parse().expect("a number")
    }

    fn write(&self, time: &str) {
        let file = self.file().expect("a movable clock");
        let beside = file.with_extension("new");
        fs::write(&beside, format!("{time}\n")).expect("written");
        fs::rename(beside, file).expect("renamed"); // whole or not at all: it is read at every call
    }
}

fn library() -> PathBuf {
    let libraries = fs::read_dir("/usr/lib").expect("/usr/lib");
    libraries
        .flatten()
        .map(|dir| dir.path().join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.exists())
        .expect("Debian's libfaketime")
}

/// The passcodes of one factor, computed by oathtool: an implementation that is not the gateway's.
#[derive(Clone)]
pub(crate) struct Passcodes {
    secret: String,
    algorithm: &'static str,
    digits: u8,
    period_secs: u64,
}

impl Passcodes {
    /// SHA-1, six digits, 30 seconds.
    pub(crate) fn of(secret_base32: &str) -> Self {
        Self { secret: secret_base32.to_owned(), algorithm: "sha1", digits: 6, period_secs: 30 }
    }

    /// The same secret with other parameters.
    pub(crate) fn with(mut self, algorithm: &'static str, digits: u8, period_secs: u64) -> Self {
        (self.algorithm, self.digits, self.period_secs) = (algorithm, digits, period_secs);
        self
    }

    /// The passcode at a time in Unix seconds.
    pub(crate) fn at(&self, unix_secs: u64) -> String {
        self.window(unix_secs, 0).remove(0)
    }

    /// The passcode so many steps after the one at a time.
    pub(crate) fn steps_after(&self, unix_secs: u64, steps: i64) -> String {
        self.at(
            unix_secs.saturating_add_signed(steps * i64::try_from(self.period_secs).expect("a short period"))
        )
    }

    /// `count` passcodes that fit nowhere near a time, all different.
    pub(crate) fn wrong(&self, unix_secs: u64, count: usize) -> Vec<String> {
        let near = self.window(unix_secs.saturating_sub(10 * self.period_secs), 40);
        let width = usize::from(self.digits);
        (0..).map(|n| format!("{n:0width$}")).filter(|code| !near.contains(code)).take(count).collect()
    }

    fn window(&self, unix_secs: u64, more: u32) -> Vec<String> {
        let mut oathtool = Command::new("oathtool");
        oathtool
            .arg(format!("--totp={}", self.algorithm))
            .args(["--base32", "--digits", &self.digits.to_string()])
            .arg(format!("--time-step-size={}s", self.period_secs))
            .arg(format!("--now=@{unix_secs}"))
            .args(["--window", &more.to_string()])
            .arg(&self.secret);
        quietly(&mut oathtool).lines().map(str::to_owned).collect()
    }
}
