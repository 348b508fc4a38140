//! One Redis or many, as the operations see them: they name a key, and whether they may run twice.
//!
//! Invariants: a write that may have run is not sent again; each operation has one deadline, whatever becomes of it
//! on the way; what must outlive a failover is answered after enough replicas have it.

use std::{rc::Rc, time::Duration};

use futures_util::future::{join_all, try_join_all};
use redis::RedisResult;
use tokio::time::{Instant, sleep};

use super::{
    super::fields::Fields,
    breaker::jittered,
    cluster::Cluster,
    connection::{Connection, Failure, Place},
    fault::{Fault, Instead},
    keys,
    link::Link,
    marker::Marker,
    sentinel::Sentinels,
    settings::{Address, RedisSettings, Topology},
};
use crate::step_up::StoreError;

/// An operation is tried so often, if it is known that it did not run: slots are on their way for a moment.
const TRIES_MAX: u32 = 16;
/// So often if servers are in trouble, which lasts for seconds.
const TRIES_IN_TROUBLE: u32 = 4;
/// Before the second try. Each further wait is twice as long, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_millis(80);

/// Connections to one server.
pub(super) struct Node {
    pub(super) reads: Connection,
    /// Where writes wait for replicas, they have a connection of their own: reads do not wait behind them.
    writes: Option<Connection>,
}

impl Node {
    pub(super) fn new(
        place: &dyn Fn() -> Place,
        timeout: Duration,
        marker: &Marker,
        markers: &[String],
        writes_wait: bool,
    ) -> Self {
        let connection = || Connection::new(place(), timeout, marker.clone(), markers);
        Self { reads: connection(), writes: writes_wait.then(connection) }
    }

    pub(super) fn set_markers(&self, markers: &[String]) {
        self.reads.set_markers(markers);
        if let Some(writes) = &self.writes {
            writes.set_markers(markers);
        }
    }

    fn connection(&self, kind: Kind) -> &Connection {
        match kind {
            Kind::Read => &self.reads,
            Kind::Write => self.writes.as_ref().unwrap_or(&self.reads),
        }
    }
}

/// Whether an operation may run twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

pub(super) struct Servers {
    layout: Layout,
    timeout: Duration,
    wait_replicas: u32,
}

enum Layout {
    One(Rc<Node>),
    Cluster(Cluster),
}

/// Where an operation goes.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    /// To whoever has this key.
    Key(&'a str),
    /// To this master of a cluster.
    Master(&'a Address),
}

impl Servers {
    pub(super) fn new(settings: &RedisSettings, marker: Marker) -> Self {
        let RedisSettings { topology, access, sentinel_access, timeout, wait_replicas } = settings;
        let (timeout, writes_wait) = (*timeout, *wait_replicas > 0);
        let one = |place: &dyn Fn() -> Place| {
            let markers = [keys::MARKER.to_owned()];
            Layout::One(Rc::new(Node::new(place, timeout, &marker, &markers, writes_wait)))
        };
        let layout = match topology {
            Topology::Standalone(address) => one(&|| Place::Server(access.clone(), address.clone())),
            Topology::Sentinel { sentinels, master } => one(&|| {
                let sentinels = Sentinels::new(sentinel_access.clone(), sentinels.clone(), master.clone());
                Place::Master(access.clone(), sentinels)
            }),
            Topology::Cluster { seeds } => {
                Layout::Cluster(Cluster::new(access.clone(), seeds.clone(), timeout, marker, writes_wait))
            }
        };
        Self { layout, timeout, wait_replicas: *wait_replicas }
    }

    /// Runs something that may run twice.
    pub(super) async fn read<T>(
        &self,
        key: &str,
        work: impl AsyncFn(Link) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        self.run(Kind::Read, Target::Key(key), work).await
    }

    /// The same at a master of a cluster, or at the only server.
    pub(super) async fn read_at<T>(
        &self,
        master: Option<&Address>,
        work: impl AsyncFn(Link) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        self.run(Kind::Read, master.map_or(Target::Key(keys::MARKER), Target::Master), work).await
    }

    /// Runs something that must not run twice.
    pub(super) async fn write<T>(
        &self,
        key: &str,
        work: impl AsyncFn(Link) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        self.run(Kind::Write, Target::Key(key), work).await
    }

    /// The same, and if it did what it was to do, it is answered after as many replicas have it as are configured.
    pub(super) async fn write_for_good<T>(
        &self,
        key: &str,
        work: impl AsyncFn(Link) -> RedisResult<T>,
        did_it: impl Fn(&T) -> bool,
    ) -> Result<T, StoreError> {
        if self.wait_replicas == 0 {
            return self.write(key, work).await;
        }
        // Less than the deadline: replicas that are gone say nothing about their master.
        let wait_ms = u64::try_from(self.timeout.as_millis() / 2).unwrap_or(u64::MAX).max(1);
        let both = async |mut link: Link| {
            let done = work(link.clone()).await?;
            if !did_it(&done) {
                return Ok((done, Ok(self.wait_replicas)));
            }
            let mut wait = redis::cmd("WAIT");
            // An error of this one must not look as if the work had not been done.
            let acknowledged = wait.arg(self.wait_replicas).arg(wait_ms).query_async::<u32>(&mut link).await;
            Ok((done, acknowledged))
        };
        let (done, acknowledged) = self.run(Kind::Write, Target::Key(key), both).await?;
        match acknowledged {
            Ok(replicas) if replicas >= self.wait_replicas => Ok(done),
            Ok(replicas) => Err(StoreError::Failed(
                format!("written, but {replicas} of {} replicas have it", self.wait_replicas).into(),
            )),
            Err(error) => Err(StoreError::Failed(error.into())),
        }
    }

    /// Several hashes at once.
    pub(super) async fn hashes(&self, keys: &[String]) -> Result<Vec<Fields>, StoreError> {
        match &self.layout {
            Layout::One(_) => {
                let all = async |mut link: Link| {
                    let mut pipeline = redis::pipe();
                    for key in keys {
                        pipeline.cmd("HGETALL").arg(key);
                    }
                    pipeline.query_async(&mut link).await
                };
                self.read_at(None, all).await
            }
            // Each may be on its way to another node.
            Layout::Cluster(_) => try_join_all(keys.iter().map(|key| self.hash(key))).await,
        }
    }

    pub(super) async fn hash(&self, key: &str) -> Result<Fields, StoreError> {
        let get = async |mut link: Link| redis::cmd("HGETALL").arg(key).query_async(&mut link).await;
        self.read(key, get).await
    }

    /// The masters of a cluster, in a lasting order; `None`: there is one server, which has no name.
    pub(super) async fn masters(&self) -> Result<Option<Vec<Address>>, StoreError> {
        match &self.layout {
            Layout::One(_) => Ok(None),
            Layout::Cluster(cluster) => {
                let map = cluster.map(Instant::now() + self.timeout).await;
                map.map(|map| Some(map.masters())).map_err(|failure| failure.error)
            }
        }
    }

    /// Whether somebody answers: of a cluster, one master at least, for most people are served then.
    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        let ping = async |mut link: Link| redis::cmd("PING").exec_async(&mut link).await;
        let Some(masters) = self.masters().await? else {
            return self.read_at(None, ping).await;
        };
        let answers = join_all(masters.iter().map(|master| self.read_at(Some(master), ping))).await;
        let (mut is_there, mut failed) = (false, None);
        for (master, answer) in masters.iter().zip(answers) {
            match answer {
                Ok(()) => is_there = true,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, %master, "a master does not answer");
                    failed = Some(error);
                }
            }
        }
        failed.filter(|_| !is_there).map_or(Ok(()), Err)
    }

    /// See [`Connection::remember_marker`].
    pub(super) async fn remember_marker(&self) {
        match &self.layout {
            Layout::One(node) => node.reads.remember_marker().await,
            Layout::Cluster(cluster) => cluster.remember_marker().await,
        }
    }

    async fn run<T>(
        &self,
        kind: Kind,
        target: Target<'_>,
        work: impl AsyncFn(Link) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        let deadline = Instant::now() + self.timeout;
        let mut tries = 0;
        // A node that was named by `ASK`, for one try.
        let mut asked: Option<Address> = None;
        loop {
            let (node, version) = match &self.layout {
                Layout::One(node) => (Rc::clone(node), 0),
                Layout::Cluster(cluster) => match &asked {
                    Some(address) => (cluster.node(address), 0),
                    None => cluster.node_for(target, deadline).await.map_err(|failure| failure.error)?,
                },
            };
            let connection = node.connection(kind);
            let failure = match connection.once(asked.take().is_some(), deadline, &work).await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            tries += 1;
            let next = if tries == TRIES_MAX { Next::GiveUp } else { self.next(kind, &failure, tries) };
            let wait = match (next, &self.layout) {
                (Next::GiveUp, _) => None,
                (Next::AtOnce, _) => Some(Duration::ZERO),
                (Next::At(address), _) => {
                    asked = Some(address);
                    Some(Duration::ZERO)
                }
                (Next::AtOwner, Layout::Cluster(cluster)) => {
                    let map = cluster.map_after(version, Some(&node), deadline).await;
                    map.map_err(|failure| failure.error)?;
                    // Nodes that tell each other what is new may disagree for a moment.
                    Some(if tries <= 2 { Duration::ZERO } else { wait_before(tries) })
                }
                (Next::AfterAWait | Next::AtOwner, _) => Some(wait_before(tries)),
            };
            let Some(wait) = wait.filter(|wait| Instant::now() + *wait < deadline) else {
                if failure.fault == Fault::NotRun(Instead::LeaveAlone) {
                    connection.leave_alone();
                }
                return Err(failure.error);
            };
            tracing::debug!(
                error = &failure.error as &dyn std::error::Error,
                fault = ?failure.fault,
                tries,
                "Redis is asked again"
            );
            if !wait.is_zero() {
                sleep(wait).await;
            }
        }
    }

    fn next(&self, kind: Kind, failure: &Failure, tries: u32) -> Next {
        let cluster = match &self.layout {
            Layout::Cluster(cluster) => Some(cluster),
            Layout::One(_) => None,
        };
        match &failure.fault {
            Fault::Refused => Next::GiveUp,
            // A connection that broke while it rested: the server may be well.
            Fault::Broken if kind == Kind::Read && !failure.was_fresh && tries == 1 => Next::AtOnce,
            Fault::Unreachable | Fault::Broken | Fault::TimedOut => {
                if let Some(cluster) = cluster {
                    cluster.suspect();
                }
                Next::GiveUp
            }
            Fault::NotRun(Instead::Ask(_) | Instead::FindOwner) if cluster.is_none() => {
                tracing::error!("Redis is a cluster: say so, with [store] url = \"redis+cluster://…\"");
                Next::GiveUp
            }
            Fault::NotRun(Instead::Ask(address)) => Next::At(address.clone()),
            Fault::NotRun(Instead::FindOwner) => Next::AtOwner,
            Fault::NotRun(Instead::FindMaster) if cluster.is_some() => Next::AtOwner,
            Fault::NotRun(Instead::WaitForSlot) => Next::AfterAWait,
            Fault::NotRun(Instead::FindMaster | Instead::WaitForServers | Instead::LeaveAlone) => {
                if let Some(cluster) = cluster {
                    cluster.suspect();
                }
                if tries < TRIES_IN_TROUBLE { Next::AfterAWait } else { Next::GiveUp }
            }
        }
    }
}

/// What follows a try that gave no value.
enum Next {
    GiveUp,
    AtOnce,
    AfterAWait,
    At(Address),
    AtOwner,
}

fn wait_before(tries: u32) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1_u32.checked_shl(tries - 1).unwrap_or(u32::MAX));
    jittered(doubled.min(LONGEST_WAIT), getrandom::u64().unwrap_or(u64::MAX))
}
