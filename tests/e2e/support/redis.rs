//! A Redis of the test's own: Debian's `redis-server`, started, stopped, frozen and killed at will.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command},
};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{
    clock::Clock,
    process::{PATIENCE, end, free_port, lines, quietly, scratch, signal, spawn},
};

/// One server. What was written to it survives [`RedisServer::kill`] and [`RedisServer::restart`].
pub(crate) struct RedisServer {
    child: Option<Child>,
    address: SocketAddr,
    clock: Clock,
    dir: TempDir,
    /// `user:password@`, or nothing.
    credentials: String,
}

impl RedisServer {
    /// Starts one that tells the time by `clock`.
    pub(crate) fn start(clock: &Clock) -> Self {
        let address = (Ipv4Addr::LOCALHOST, free_port()).into();
        let dir = scratch();
        let mut server = Self { child: None, address, clock: clock.clone(), dir, credentials: String::new() };
        server.restart();
        server
    }

    /// What goes into `[store] url`.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}{}", self.credentials, self.address)
    }

    /// Makes [`RedisServer::url`] that of another user.
    pub(crate) fn log_in_as(&mut self, user: &str, password: &str) {
        self.credentials = format!("{user}:{password}@");
    }

    /// Starts it again, with what it held.
    pub(crate) fn restart(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let server = std::env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        let mut command = Command::new(server);
        command
            .args(["--port", &self.address.port().to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "yes", "--appendfsync", "no"])
            .arg("--dir")
            .arg(self.dir.path());
        self.clock.apply(&mut command);
        let mut child = spawn(&command);
        let output = lines(child.stdout.take().expect("a pipe"));
        loop {
            let line = output.recv_timeout(PATIENCE).expect("redis-server gets ready");
            if line.contains("Ready to accept connections") {
                break;
            }
        }
        self.child = Some(child);
    }

    /// Starts it again, with nothing: as if its disk had been lost. What it held is kept aside.
    pub(crate) fn restart_empty(&mut self) {
        fs::rename(self.dir.path().join("appendonlydir"), self.dir.path().join("lost")).expect("renamed");
        self.restart();
    }

    /// Gives it back what [`RedisServer::restart_empty`] took. It must have been killed.
    pub(crate) fn restore(&mut self) {
        fs::remove_dir_all(self.dir.path().join("appendonlydir")).expect("removed");
        fs::rename(self.dir.path().join("lost"), self.dir.path().join("appendonlydir")).expect("renamed");
        self.restart();
    }

    /// Ends it at once, as a power cut would; connections are refused from now on.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("killed");
        child.wait().expect("ended");
    }

    /// Freezes it: it accepts connections and answers nothing.
    pub(crate) fn freeze(&self) {
        signal(self.pid(), Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        signal(self.pid(), Signal::CONT);
    }

    /// Runs one command with redis-cli and returns what it printed, raw.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let port = self.address.port().to_string();
        quietly(Command::new("redis-cli").args(["-p", &port, "--raw"]).args(arguments)).trim_end().to_owned()
    }

    /// Every command that ever changed it, as its append-only file has them.
    pub(crate) fn written(&self) -> Vec<u8> {
        let files = fs::read_dir(self.dir.path().join("appendonlydir")).expect("the append-only files");
        files.flatten().flat_map(|file| fs::read(file.path()).expect("a file")).collect()
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            end(child);
        }
    }
}
