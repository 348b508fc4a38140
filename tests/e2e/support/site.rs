//! Redis as sites run it: one server; a master with a replica and a Sentinel; a cluster of three masters.

use std::{
    fmt::Write as _,
    net::TcpListener,
    path::Path,
    time::{Duration, Instant},
};

use super::{Clock, PATIENCE, RedisServer, free_port};

/// How long a node of a cluster waits before it trusts itself, and more. Seconds.
const NODE_HESITATES_SECS: u64 = 5;
/// Between two looks at what another process does.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(5);
/// What a Sentinel calls its master.
pub(crate) const MASTER: &str = "mymaster";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topology {
    Standalone,
    Sentinel,
    Cluster,
}

pub(crate) struct RedisSite {
    topology: Topology,
    /// Masters first.
    pub(crate) servers: Vec<RedisServer>,
    pub(crate) sentinel: Option<RedisServer>,
    clock: Clock,
    /// `user:password@`, or nothing.
    credentials: String,
    has_tls: bool,
}

/// What a test may have otherwise.
#[derive(Clone, Copy)]
pub(crate) struct Particulars<'a> {
    /// After so many milliseconds a server that does not answer is dead. For ever: nothing is while a test moves the
    /// clock.
    pub(crate) dead_after_ms: u64,
    /// Where certificates are.
    pub(crate) tls: Option<&'a Path>,
}

impl Default for Particulars<'_> {
    fn default() -> Self {
        Self { dead_after_ms: 1_000_000_000, tls: None }
    }
}

impl RedisSite {
    pub(crate) fn start(topology: Topology, clock: &Clock, particulars: Particulars<'_>) -> Self {
        let Particulars { dead_after_ms, tls } = particulars;
        let mut site = Self {
            topology,
            servers: Vec::new(),
            sentinel: None,
            clock: clock.clone(),
            credentials: String::new(),
            has_tls: tls.is_some(),
        };
        match topology {
            Topology::Standalone => {
                site.servers.push(RedisServer::start_at(free_port(), clock, tls, &[]));
            }
            Topology::Sentinel => site.start_with_sentinel(dead_after_ms, tls),
            Topology::Cluster => site.servers = start_cluster(clock, 3, dead_after_ms, tls),
        }
        site.settle();
        site
    }

    /// Makes [`RedisSite::url`] that of another topology.
    pub(crate) fn pretend_to_be(&mut self, topology: Topology) {
        self.topology = topology;
    }

    fn start_with_sentinel(&mut self, down_after_ms: u64, tls: Option<&Path>) {
        let master = RedisServer::start_at(free_port(), &self.clock, tls, &[]);
        let port = master.port().to_string();
        let replica =
            RedisServer::start_at(free_port(), &self.clock, tls, &["--replicaof", "127.0.0.1", &port]);
        let configuration = format!(
            "sentinel monitor {MASTER} 127.0.0.1 {port} 1\nsentinel down-after-milliseconds {MASTER} {down_after_ms}\n\
             sentinel failover-timeout {MASTER} 10000\n"
        );
        self.sentinel = Some(RedisServer::start_sentinel(&self.clock, tls, &configuration));
        self.servers = vec![master, replica];
    }

    /// What goes into `[store] url`.
    pub(crate) fn url(&self) -> String {
        let addresses: Vec<_> = self.servers.iter().map(RedisServer::address).collect();
        let (scheme, credentials) = (if self.has_tls { "rediss" } else { "redis" }, &self.credentials);
        match (self.topology, &self.sentinel) {
            (Topology::Sentinel, Some(sentinel)) => {
                format!("{scheme}+sentinel://{credentials}{}/{MASTER}", sentinel.address())
            }
            (Topology::Cluster, _) => format!("{scheme}+cluster://{credentials}{}", addresses.join(",")),
            _ => format!("{scheme}://{credentials}{}", addresses[0]),
        }
    }

    /// How many replicas there are to wait for.
    pub(crate) fn replicas(&self) -> u32 {
        u32::from(self.topology == Topology::Sentinel)
    }

    /// Makes [`RedisSite::url`] that of another user.
    pub(crate) fn log_in_as(&mut self, user: &str, password: &str) {
        self.credentials = format!("{user}:{password}@");
    }

    /// Runs one command with redis-cli, at whoever has its keys, and returns what it printed, raw.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        match self.topology {
            Topology::Cluster if matches!(arguments[0], "--scan" | "KEYS") => {
                self.everywhere(arguments).join("\n")
            }
            Topology::Cluster => self.servers[0].cli(&[&["-c"], arguments].concat()),
            _ => self.servers[0].cli(arguments),
        }
    }

    /// Runs one command at every server that holds data.
    pub(crate) fn everywhere(&self, arguments: &[&str]) -> Vec<String> {
        let answers = self.servers.iter().map(|server| server.cli(arguments));
        answers.filter(|answer| !answer.is_empty()).collect()
    }

    /// Ends all servers that hold data, as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.servers.iter_mut().for_each(RedisServer::kill);
    }

    /// Starts them again, with what they held.
    pub(crate) fn restart(&mut self) {
        self.servers.iter_mut().for_each(RedisServer::restart);
        self.settle();
    }

    /// After a failover: starts what was the master again, as the replica of the other one.
    pub(crate) fn restart_as_replica(&mut self) {
        let master = self.servers[1].port().to_string();
        self.servers[0].launch(&["--replicaof", "127.0.0.1", &master]).wait();
        self.wait_for_old_master();
    }

    /// Waits until there is a master with a replica again, whichever is which: on a busy machine a Sentinel may have
    /// thought better of it.
    pub(crate) fn wait_for_old_master(&self) {
        let [one, other] = &self.servers[..] else { panic!("a master and a replica") };
        let since = Instant::now();
        while !follows(one, other) && !follows(other, one) {
            assert!(
                since.elapsed() < PATIENCE,
                "nobody follows:\n{}",
                self.everywhere(&["INFO", "replication"]).join("\n")
            );
            std::thread::park_timeout(LOOK_AGAIN_AFTER);
        }
    }

    /// Waits until all have found each other.
    pub(crate) fn settle(&self) {
        match self.topology {
            Topology::Standalone => {}
            Topology::Sentinel => {
                wait_until("the replica follows", || follows(&self.servers[1], &self.servers[0]));
            }
            Topology::Cluster => {
                for server in &self.servers {
                    wait_until("the cluster is well", || {
                        if server.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok") {
                            return true;
                        }
                        self.clock.hurry(NODE_HESITATES_SECS);
                        false
                    });
                }
            }
        }
    }
}

/// Whether a replica has what its master is told. It may call itself online a second before. A Sentinel ends the
/// connections of whom it demotes.
fn follows(replica: &RedisServer, master: &RedisServer) -> bool {
    replica.cli_may_fail(&["INFO", "replication"]).contains("master_link_status:up")
        && master.cli_lines("SET followed 1\nWAIT 1 2000\nDEL followed\n").lines().nth(1) == Some("1")
}

/// Waits for something that another process does.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "not in time: {what}");
        // Whoever is waited for needs the machine, too.
        std::thread::park_timeout(LOOK_AGAIN_AFTER);
    }
}

/// Masters with the slots in equal shares, which know each other from the start.
fn start_cluster(
    clock: &Clock,
    masters: usize,
    node_timeout_ms: u64,
    tls: Option<&Path>,
) -> Vec<RedisServer> {
    let ports: Vec<u16> = (0..masters).map(|_| free_port_with_bus()).collect();
    let timeout = node_timeout_ms.to_string();
    let start = |own: usize| {
        let mut nodes = String::new();
        for (n, port) in ports.iter().enumerate() {
            let flags = if n == own { "myself,master" } else { "master" };
            let (first, last) = (16384 * n / masters, 16384 * (n + 1) / masters - 1);
            let (bus, epoch) = (port + 10_000, n + 1);
            writeln!(
                nodes,
                "{} 127.0.0.1:{port}@{bus} {flags} - 0 0 {epoch} connected {first}-{last}",
                format!("{epoch:x}").repeat(40)
            )
            .expect("written");
        }
        writeln!(nodes, "vars currentEpoch {masters} lastVoteEpoch 0").expect("written");
        RedisServer::start_node(ports[own], clock, tls, &nodes, &["--cluster-node-timeout", &timeout])
    };
    (0..masters).map(start).collect()
}

/// The nodes of a cluster speak to each other ten thousand ports above.
pub(crate) fn free_port_with_bus() -> u16 {
    loop {
        let port = free_port();
        if TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}
