//! A Redis of the test's own: Debian's `redis-server`, started, stopped, frozen and killed at will.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::mpsc::Receiver,
};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{
    clock::Clock,
    process::{PATIENCE, end, free_port, lines, quietly, run, scratch, signal, spawn},
};

/// One server. What was written to it survives [`RedisServer::kill`] and [`RedisServer::restart`].
pub(crate) struct RedisServer {
    child: Option<Child>,
    address: SocketAddr,
    clock: Clock,
    dir: TempDir,
    /// `user:password@`, or nothing.
    credentials: String,
    /// After those that every server has, or instead of them.
    arguments: Vec<String>,
    /// What it prints when it is there.
    ready: &'static str,
    /// Where certificates are, if it speaks TLS alone.
    tls: Option<PathBuf>,
}

/// A server that was started.
pub(crate) struct Launched {
    output: Receiver<String>,
    ready: &'static str,
}

impl Launched {
    /// Waits until it prints that.
    pub(crate) fn wait_for(&self, text: &str) {
        while !self.output.recv_timeout(PATIENCE).expect("redis-server gets ready").contains(text) {}
    }

    /// Waits until it is there.
    pub(crate) fn wait(self) {
        self.wait_for(self.ready);
    }
}

impl RedisServer {
    /// Starts one that tells the time by `clock`.
    pub(crate) fn start(clock: &Clock) -> Self {
        Self::start_at(free_port(), clock, None, &[])
    }

    /// The same on that port, with more arguments.
    pub(crate) fn start_at(port: u16, clock: &Clock, tls: Option<&Path>, more: &[&str]) -> Self {
        let mut server = Self::data(port, clock, tls, more);
        server.restart();
        server
    }

    /// Starts a node of a cluster whose configuration is known already: all nodes and their slots.
    pub(crate) fn start_node(
        port: u16,
        clock: &Clock,
        tls: Option<&Path>,
        nodes_conf: &str,
        more: &[&str],
    ) -> Self {
        let mut server = Self::data(port, clock, tls, more);
        server.arguments.extend(["--cluster-enabled", "yes"].map(str::to_owned));
        fs::write(server.dir.path().join("nodes.conf"), nodes_conf).expect("written");
        server.restart();
        server
    }

    fn data(port: u16, clock: &Clock, tls: Option<&Path>, more: &[&str]) -> Self {
        let mut server = Self::prepared(port, clock, tls, "Ready to accept connections");
        let all =
            ["--save", "", "--appendonly", "yes", "--appendfsync", "no", "--repl-diskless-sync-delay", "0"];
        server.arguments = all.iter().chain(more).map(|&argument| argument.to_owned()).collect();
        server
    }

    /// Starts a Sentinel with this configuration.
    pub(crate) fn start_sentinel(clock: &Clock, tls: Option<&Path>, configuration: &str) -> Self {
        let mut server = Self::prepared(free_port(), clock, tls, "Sentinel ID is");
        let file = server.dir.path().join("sentinel.conf");
        fs::write(&file, configuration).expect("written");
        server.arguments = vec![file.to_str().expect("UTF-8").to_owned(), "--sentinel".to_owned()];
        server.restart();
        server
    }

    fn prepared(port: u16, clock: &Clock, tls: Option<&Path>, ready: &'static str) -> Self {
        let (address, dir) = ((Ipv4Addr::LOCALHOST, port).into(), scratch());
        let (credentials, arguments) = (String::new(), Vec::new());
        let (clock, tls) = (clock.clone(), tls.map(Path::to_owned));
        Self { child: None, address, clock, dir, credentials, arguments, ready, tls }
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// `user:password@`, or nothing.
    pub(crate) fn credentials(&self) -> &str {
        &self.credentials
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
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
        self.launch(&[]).wait();
    }

    /// Starts it again with more arguments, and does not wait until it has read what it held.
    pub(crate) fn launch(&mut self, more: &[&str]) -> Launched {
        assert!(self.child.is_none(), "it runs");
        let port = self.address.port().to_string();
        // Not every other server was built with TLS.
        let named = std::env::var_os("REDIS_SERVER").filter(|_| self.tls.is_none());
        let mut command = Command::new(named.unwrap_or_else(|| "redis-server".into()));
        command.args(&self.arguments);
        match &self.tls {
            None => command.args(["--port", &port]),
            Some(dir) => command
                .args([
                    "--port",
                    "0",
                    "--tls-port",
                    &port,
                    "--tls-replication",
                    "yes",
                    "--tls-cluster",
                    "yes",
                ])
                .arg("--tls-cert-file")
                .arg(dir.join("server.pem"))
                .arg("--tls-key-file")
                .arg(dir.join("server.key"))
                .arg("--tls-ca-cert-file")
                .arg(dir.join("ca.pem")),
        };
        command.args(["--bind", "127.0.0.1"]).args(more).arg("--dir").arg(self.dir.path());
        self.clock.apply(&mut command);
        let mut child = spawn(&command);
        let output = lines(child.stdout.take().expect("a pipe"));
        self.child = Some(child);
        Launched { output, ready: self.ready }
    }

    /// Starts it again, with nothing: as if its disk had been lost. What it held is kept aside.
    pub(crate) fn restart_empty(&mut self) {
        fs::rename(self.append_only(), self.dir.path().join("lost")).expect("renamed");
        self.restart();
    }

    /// Gives it back what [`RedisServer::restart_empty`] took. It must have been killed.
    pub(crate) fn restore(&mut self) {
        let kept = self.append_only();
        if kept.is_dir() {
            fs::remove_dir_all(&kept).expect("removed");
        } else {
            fs::remove_file(&kept).expect("removed");
        }
        fs::rename(self.dir.path().join("lost"), kept).expect("renamed");
        self.restart();
    }

    /// What it holds: a directory, or a file before Redis 7.
    fn append_only(&self) -> PathBuf {
        let names = ["appendonlydir", "appendonly.aof"].map(|name| self.dir.path().join(name));
        names.into_iter().find(|path| path.exists()).expect("an append-only file")
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
        quietly(self.redis_cli().args(arguments)).trim_end().to_owned()
    }

    /// The same where it may fail.
    pub(crate) fn cli_may_fail(&self, arguments: &[&str]) -> String {
        String::from_utf8_lossy(&run(self.redis_cli().args(arguments)).stdout).trim_end().to_owned()
    }

    /// Runs many commands, one a line, in one session of redis-cli, which may break off.
    pub(crate) fn cli_lines(&self, commands: &str) -> String {
        let file = self.dir.path().join("commands");
        fs::write(&file, commands).expect("written");
        let client = self.redis_cli();
        let mut session = Command::new("sh");
        session
            .args(["-c", "exec \"$@\" <\"$0\""])
            .arg(file)
            .arg(client.get_program())
            .args(client.get_args());
        String::from_utf8_lossy(&run(&mut session).stdout).into_owned()
    }

    fn redis_cli(&self) -> Command {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.address.port().to_string(), "--raw"]);
        if let Some(dir) = &self.tls {
            command.arg("--tls").arg("--cacert").arg(dir.join("ca.pem"));
            command.arg("--cert").arg(dir.join("gateway.pem")).arg("--key").arg(dir.join("gateway.key"));
        }
        command
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
