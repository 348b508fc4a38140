//! The gateway: the binary that cargo built, as its own process.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex, mpsc::Receiver},
    thread::{self, JoinHandle},
    time::Instant,
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    clock::Clock,
    process::{PATIENCE, end, lines, run, scratch, signal, spawn},
};

/// The binary that cargo built for these tests.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_tfa-gateway");

/// A gateway.toml in a directory of its own, and the commands that run with it.
pub(crate) struct GatewayConfig {
    dir: TempDir,
    clock: Clock,
    settings: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
}

impl GatewayConfig {
    /// A gateway in front of `upstream_url`, with all that a test can leave to its defaults.
    pub(crate) fn new(upstream_url: &str, clock: &Clock) -> Self {
        let dir = scratch();
        let key_file = dir.path().join("sealing.keys");
        let mut config =
            Self { dir, clock: clock.clone(), settings: BTreeMap::new(), environment: BTreeMap::new() };
        config.set_text("listen.address", "127.0.0.1:0");
        config.set_text("admin.address", "127.0.0.1:0");
        config.set_text("upstream.url", upstream_url);
        config.set_text("sealing.key_file", key_file.to_str().expect("UTF-8"));
        config
    }

    /// Sets a key to a TOML value.
    pub(crate) fn set(&mut self, key: &str, toml: &str) {
        self.settings.insert(key.to_owned(), toml.to_owned());
    }

    /// Sets a key to a string.
    pub(crate) fn set_text(&mut self, key: &str, text: &str) {
        self.set(key, &Value::from(text).to_string());
    }

    /// Sets an environment variable for all commands.
    pub(crate) fn set_env(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Its directory, which also holds the key file and an embedded store.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The file with the sealing keys.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.dir().join("sealing.keys")
    }

    /// Runs one subcommand to its end. One that does not end is killed, and that is its status.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "30", BINARY]).args(arguments);
        self.prepare(&mut command);
        let output = run(&mut command);
        Ran {
            status: output.status,
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// Starts `serve` and waits until it listens.
    pub(crate) fn serve(&self) -> Gateway {
        let mut command = Command::new(BINARY);
        command.arg("serve");
        self.prepare(&mut command);
        Gateway::start(&command, self.dir())
    }

    /// The same by way of another command, which is given the subcommand at its end.
    pub(crate) fn serve_by(&self, mut command: Command) -> Gateway {
        command.arg("serve");
        self.prepare(&mut command);
        Gateway::start(&command, self.dir())
    }

    /// Forgets a key.
    pub(crate) fn unset(&mut self, key: &str) {
        self.settings.remove(key);
    }

    /// Writes gateway.toml, which each command does before it starts.
    pub(crate) fn write(&self) {
        let mut text = String::new();
        for (key, value) in &self.settings {
            writeln!(text, "{key} = {value}").expect("written");
        }
        fs::write(self.dir().join("gateway.toml"), text).expect("written");
    }

    fn prepare(&self, command: &mut Command) {
        self.write();
        let file = self.dir().join("gateway.toml");
        command
            .arg("--config")
            .arg(file)
            .current_dir(self.dir())
            .envs(&self.environment)
            .env_remove("RUST_LOG");
        self.clock.apply(command);
    }
}

/// How a subcommand ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its exit status.
    pub(crate) status: ExitStatus,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it complained of.
    pub(crate) stderr: String,
}

impl Ran {
    /// Asserts that it went well and returns what it printed.
    pub(crate) fn ok(self) -> String {
        assert!(self.status.success(), "{self:#?}");
        self.stdout
    }

    /// Asserts that it went well and returns what it printed as JSON.
    pub(crate) fn json(self) -> Value {
        let printed = self.ok();
        serde_json::from_str(&printed).unwrap_or_else(|e| panic!("no JSON: {e}\n{printed}"))
    }

    /// Asserts that it failed, by itself and not by a panic, and returns all that it said.
    pub(crate) fn refused(self) -> String {
        assert!(matches!(self.status.code(), Some(1..=100)), "{self:#?}");
        self.stdout + &self.stderr
    }
}

/// A serving gateway; ends with the value.
pub(crate) struct Gateway {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
    output: Arc<Mutex<String>>,
    standard_output: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Gateway {
    fn start(command: &Command, dir: &Path) -> Self {
        let mut child = spawn(command);
        let output = Arc::new(Mutex::new(String::new()));
        let standard_output = Arc::new(Mutex::new(String::new()));
        let (told, announced) = std::sync::mpsc::channel();
        let log = dir.join(format!("gateway-{}.log", child.id()));
        let stdout = lines(child.stdout.take().expect("a pipe"));
        let stderr = lines(child.stderr.take().expect("a pipe"));
        let keep =
            |stream: Receiver<String>, told: std::sync::mpsc::Sender<String>, apart: &Arc<Mutex<String>>| {
                let apart = Arc::clone(apart);
                let output = Arc::clone(&output);
                let log = log.clone();
                thread::spawn(move || {
                    for line in stream {
                        let mut kept = output.lock().expect("no panic");
                        kept.push_str(&line);
                        let _ = fs::write(&log, &*kept);
                        apart.lock().expect("no panic").push_str(&line);
                        let _ = told.send(line);
                    }
                })
            };
        // With audit events on standard output it says on standard error where it listens.
        let readers = vec![keep(stdout, told.clone(), &standard_output), keep(stderr, told, &Arc::default())];
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut gateway = Self { child, address: unknown, admin: unknown, output, standard_output, readers };
        while gateway.address == unknown || gateway.admin == unknown {
            // The drop prints the log.
            let line = announced.recv_timeout(PATIENCE).expect("the gateway says where it listens");
            if let Some(address) = line.strip_prefix("listening on ") {
                gateway.address = address.trim().parse().expect("an address");
            } else if let Some(address) = line.strip_prefix("admin on ") {
                gateway.admin = address.trim().parse().expect("an address");
            }
        }
        gateway
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the probes are.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, which: Signal) {
        signal(self.child.id(), which);
    }

    /// Its number among the processes.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    pub(crate) fn output(&self) -> String {
        self.output.lock().expect("no panic").clone()
    }

    /// What it has printed so far on standard output alone.
    pub(crate) fn standard_output(&self) -> String {
        self.standard_output.lock().expect("no panic").clone()
    }

    /// Waits until it has printed a text.
    pub(crate) fn wait_for(&self, text: &str) {
        let start = Instant::now();
        while !self.output().contains(text) {
            assert!(start.elapsed() < PATIENCE, "it does not say {text}");
            thread::yield_now();
        }
    }

    /// Ends it as a power cut does.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Ends it as an init system does, and returns all that it ever printed.
    pub(crate) fn stop(mut self) -> String {
        end(&mut self.child);
        for reader in self.readers.drain(..) {
            reader.join().expect("no panic");
        }
        self.output.lock().expect("no panic").clone()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        end(&mut self.child);
        if thread::panicking() {
            for reader in self.readers.drain(..) {
                let _ = reader.join();
            }
            eprintln!("--- the gateway printed:\n{}---", self.output.lock().expect("no panic"));
        }
    }
}
