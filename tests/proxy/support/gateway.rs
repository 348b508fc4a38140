//! The gateway: the binary that cargo built, as its own process.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{BufRead as _, BufReader, ErrorKind},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{Head, PATIENCE, Upstream, Wire};

/// A gateway that runs, with one data-plane thread and an embedded store of its own. It ends with the test.
pub(crate) struct Gateway {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
    dir: TempDir,
}

impl Gateway {
    /// Starts one that has the defaults.
    pub(crate) fn in_front_of(upstream: &Upstream) -> Self {
        Self::with(&upstream.url(), &[])
    }

    /// Starts one with more settings, as keys and their TOML values.
    pub(crate) fn with(upstream_url: &str, settings: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().expect("a directory");
        let mut toml = format!(
            "listen.address = '127.0.0.1:0'\nlisten.threads = 1\nadmin.address = '127.0.0.1:0'\n\
             upstream.url = '{upstream_url}'\nstore.url = 'embedded:gateway.db'\nlog.level = 'debug'\n"
        );
        for (key, value) in settings {
            writeln!(toml, "{key} = {value}").expect("written");
        }
        let file = dir.path().join("gateway.toml");
        fs::write(&file, toml).expect("written");
        let mut child = Command::new(env!("CARGO_BIN_EXE_tfa-gateway"))
            .args(["serve", "--config"])
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .env("RUST_BACKTRACE", "1")
            .stderr(File::create(dir.path().join("log")).expect("a log"))
            .spawn()
            .expect("the gateway starts");
        let mut said = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut after = |start: &str| -> SocketAddr {
            let line = said.next().and_then(Result::ok).unwrap_or_default();
            match line.strip_prefix(start).and_then(|address| address.parse().ok()) {
                Some(address) => address,
                None => panic!(
                    "no '{start}ADDRESS' but '{line}': {}",
                    fs::read_to_string(dir.path().join("log")).unwrap_or_default()
                ),
            }
        };
        let (address, admin) = (after("listening on "), after("admin on "));
        Self { child, address, admin, dir }
    }

    /// Runs a subcommand beside it, which has to go well.
    pub(crate) fn run(&self, arguments: &[&str]) {
        let ran = Command::new(env!("CARGO_BIN_EXE_tfa-gateway"))
            .args(arguments)
            .arg("--config")
            .arg(self.dir.path().join("gateway.toml"))
            .output()
            .expect("it runs");
        assert!(ran.status.success(), "{ran:?}");
    }

    /// Connects a client.
    pub(crate) fn connect(&self) -> Wire {
        Wire::connect(self.address)
    }

    /// Connects and sends a request.
    pub(crate) fn send(&self, request: impl AsRef<[u8]>) -> Wire {
        let mut client = self.connect();
        client.send(request);
        client
    }

    /// Whether its listener takes connections.
    pub(crate) fn is_listening(&self) -> bool {
        match TcpStream::connect(self.address) {
            Ok(_) => true,
            // Reset: it was in the queue when the listener was closed.
            Err(e) if matches!(e.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset) => false,
            Err(e) => panic!("neither connected nor refused: {e}"),
        }
    }

    /// What the private listener answers.
    pub(crate) fn admin(&self, path: &str) -> (Head, String) {
        let mut client = Wire::connect(self.admin);
        client.send(format!("GET {path} HTTP/1.1\r\nHost: admin.test\r\n\r\n"));
        client.read_answer()
    }

    /// A line of `/proc/PID/status`, in KiB: `VmRSS` is the memory now, `VmHWM` the most so far.
    pub(crate) fn memory_kib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with(name)).expect("the line");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }

    /// Sends it SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
        if signal == Signal::STOP {
            // On another core it may be about to accept.
            super::until(|| self.is_frozen());
        }
    }

    /// Whether it is stopped (`proc_pid_stat(5)`).
    fn is_frozen(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it is there");
        stat.rsplit(')').next().is_some_and(|fields| fields.trim_start().starts_with('T'))
    }

    /// Waits until it ends, and fails unless it says that all went well.
    pub(crate) fn assert_ended_well(self) {
        self.ended_well();
    }

    /// The same, and returns its log.
    pub(crate) fn ended_well(mut self) -> String {
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{status}");
        fs::read_to_string(self.dir.path().join("log")).expect("the log")
    }

    fn wait(&mut self) -> ExitStatus {
        let (told, ended) = mpsc::channel();
        thread::scope(|scope| {
            let child = &mut self.child;
            let pid = Pid::from_child(child);
            scope.spawn(move || told.send(child.wait().expect("a status")));
            ended.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                // The waiting thread has to end before the scope can.
                let _ = kill_process(pid, Signal::KILL);
                panic!("the gateway does not end");
            })
        })
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended already, by the test's own doing.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            eprintln!("the gateway's log:\n{log}");
        }
    }
}
