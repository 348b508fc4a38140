//! A Redis Cluster: which node is asked, and what is known of it.
//!
//! Not redis-rs's own cluster client: that connects to a node again by itself, unseen, where here the markers are
//! looked at first; it sends again what may have run; and a dead node would cost every request a timeout.
//!
//! Invariants: a node is asked for its slots alone, and after its markers were looked at; the map is asked for by
//! one for all, and not in a hurry; a node that is gone costs the others nothing.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use futures_util::future::{FutureExt as _, LocalBoxFuture, join_all, select_ok};
use redis::{RedisResult, Value, aio::MultiplexedConnection};
use tokio::{
    sync::Mutex,
    task::spawn_local,
    time::{Instant, timeout, timeout_at},
};

use super::{
    breaker::{Breaker, Reason},
    connection::{Failure, Place},
    fault::Fault,
    link::Link,
    marker::Marker,
    servers::{Node, Target},
    settings::{Access, Address},
    slots::{SlotMap, slot_of},
};

/// The map is not asked for more often, unless it is known to be wrong.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// Nodes that are remembered beside those that have slots.
const OTHERS_MAX: usize = 16;

#[derive(Clone)]
pub(super) struct Cluster(Rc<Inner>);

struct Inner {
    access: Access,
    seeds: Vec<Address>,
    timeout: Duration,
    marker: Marker,
    writes_wait: bool,
    map: RefCell<Option<Rc<SlotMap>>>,
    nodes: RefCell<BTreeMap<Address, Rc<Node>>>,
    /// Held by whoever asks for the map.
    asking: Arc<Mutex<()>>,
    asked: Cell<Option<Instant>>,
    breaker: Breaker,
    /// By which map nothing is left to be done about markers.
    marked: Cell<u64>,
}

impl Cluster {
    pub(super) fn new(
        access: Access,
        seeds: Vec<Address>,
        timeout: Duration,
        marker: Marker,
        writes_wait: bool,
    ) -> Self {
        let breaker = Breaker::new(marker.returns.of("the cluster".to_owned()));
        Self(Rc::new(Inner {
            access,
            seeds,
            timeout,
            marker,
            writes_wait,
            map: RefCell::default(),
            nodes: RefCell::default(),
            asking: Arc::default(),
            asked: Cell::default(),
            breaker,
            marked: Cell::default(),
        }))
    }

    /// The node to go to, and the version of the map that says so.
    pub(super) async fn node_for(
        &self,
        target: Target<'_>,
        deadline: Instant,
    ) -> Result<(Rc<Node>, u64), Failure> {
        let map = self.map(deadline).await?;
        let owner = match target {
            Target::Key(key) => map.owner(slot_of(key)),
            Target::Master(address) => Some(address),
        };
        let Some(owner) = owner else {
            self.suspect();
            return Err(Failure::unreachable("no master has the slot".into()));
        };
        Ok((self.0.node(owner), map.version))
    }

    /// A node that another one named.
    pub(super) fn node(&self, address: &Address) -> Rc<Node> {
        self.0.node(address)
    }

    /// The map, which is asked for if there is none yet.
    pub(super) async fn map(&self, deadline: Instant) -> Result<Rc<SlotMap>, Failure> {
        let map = self.0.map.borrow().clone();
        match map {
            Some(map) => Ok(map),
            None => self.map_after(0, None, deadline).await,
        }
    }

    /// A later map than that one, which was wrong, best from the node that knows it to be.
    pub(super) async fn map_after(
        &self,
        version: u64,
        from: Option<&Rc<Node>>,
        deadline: Instant,
    ) -> Result<Rc<SlotMap>, Failure> {
        let inner = &self.0;
        let paused = |reason| Failure::paused(reason, inner.timeout);
        inner.breaker.is_open().map_or(Ok(()), |reason| Err(paused(reason)))?;
        let asking = timeout_at(deadline, Arc::clone(&inner.asking).lock_owned());
        let asking = asking.await.map_err(|_| Failure::timed_out(inner.timeout))?;
        if let Some(map) = inner.map.borrow().clone().filter(|map| map.version > version) {
            return Ok(map);
        }
        inner.breaker.is_open().map_or(Ok(()), |reason| Err(paused(reason)))?;
        // On a task of its own, so that whoever leaves does not take the answer along.
        let (of_task, from) = (Rc::clone(inner), from.cloned());
        let task = spawn_local(async move {
            let map = of_task.ask_for_map(from.as_ref()).await;
            drop(asking);
            map
        });
        match timeout_at(deadline, task).await {
            Ok(Ok(map)) => map,
            Ok(Err(ended)) => Err(Failure::unreachable(ended.into())),
            Err(_) => Err(Failure::timed_out(inner.timeout)),
        }
    }

    /// Something is wrong with a node: who has its slots is asked behind the scenes.
    pub(super) fn suspect(&self) {
        let inner = &self.0;
        let version = inner.map.borrow().as_ref().map_or(0, |map| map.version);
        if inner.asked.get().is_some_and(|at| at.elapsed() < ASK_EVERY) {
            return;
        }
        inner.asked.set(Some(Instant::now()));
        let of_task = self.clone();
        spawn_local(async move {
            let deadline = Instant::now() + of_task.0.timeout;
            if let Err(Failure { error, .. }) = of_task.map_after(version, None, deadline).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "no node says which master has which slots"
                );
            }
        });
    }

    /// Leaves the markers at all nodes that have slots and can be reached.
    pub(super) async fn remember_marker(&self) {
        let Some(map) = self.0.map.borrow().clone() else { return };
        if self.0.marked.get() == map.version {
            return;
        }
        let nodes: Vec<_> = map.masters().iter().map(|master| self.0.node(master)).collect();
        join_all(nodes.iter().map(|node| node.reads.remember_marker())).await;
        if nodes.iter().all(|node| node.reads.is_marked()) {
            self.0.marked.set(map.version);
        }
    }
}

impl Inner {
    fn node(&self, address: &Address) -> Rc<Node> {
        let mut nodes = self.nodes.borrow_mut();
        if let Some(node) = nodes.get(address) {
            return Rc::clone(node);
        }
        let markers = self.map.borrow().as_ref().map(|map| map.markers_of(address)).unwrap_or_default();
        let place = || Place::Server(self.access.clone(), address.clone());
        let node = Rc::new(Node::new(&place, self.timeout, &self.marker, &markers, self.writes_wait));
        nodes.insert(address.clone(), Rc::clone(&node));
        node
    }

    async fn ask_for_map(&self, from: Option<&Rc<Node>>) -> Result<Rc<SlotMap>, Failure> {
        self.asked.set(Some(Instant::now()));
        let version = self.map.borrow().as_ref().map_or(0, |map| map.version) + 1;
        let failure = match timeout(self.timeout, self.ask_nodes(version, from)).await {
            Ok(Ok(map)) => {
                self.breaker.close();
                self.breaker.reset();
                return Ok(self.install(map));
            }
            Ok(Err(failure)) => failure,
            Err(_) => Failure::timed_out(self.timeout),
        };
        let reason = if failure.fault == Fault::TimedOut { Reason::TimedOut } else { Reason::Unreachable };
        self.breaker.trip(reason);
        Err(Failure { fault: Fault::Unreachable, ..failure })
    }

    /// The first answer counts: of that node, then of those to which there is a connection, then of all that were
    /// ever named.
    async fn ask_nodes(&self, version: u64, from: Option<&Rc<Node>>) -> Result<SlotMap, Failure> {
        let known: Vec<_> = {
            let nodes = self.nodes.borrow();
            nodes.iter().map(|(address, node)| (address.clone(), Rc::clone(node))).collect()
        };
        let ask = async |address: &Address, node: &Node| {
            let deadline = Instant::now() + self.timeout / 4;
            let answer = node.reads.once(false, deadline, &async |link: Link| slots(link).await).await?;
            SlotMap::parse(answer, address, version).map_err(|error| Failure::unreachable(error.into()))
        };
        if let Some((address, node)) =
            known.iter().find(|(_, node)| from.is_some_and(|from| Rc::ptr_eq(from, node)))
            && let Ok(map) = ask(address, node).await
        {
            return Ok(map);
        }
        let connected = known.iter().filter(|(_, node)| node.reads.is_made());
        let asked: Vec<LocalBoxFuture<'_, Result<SlotMap, Failure>>> =
            connected.map(|(address, node)| ask(address, node).boxed_local()).collect();
        if !asked.is_empty()
            && let Ok((map, _)) = select_ok(asked).await
        {
            return Ok(map);
        }
        // Seeds may be replicas, and are not asked for anything else.
        let mut others = self.seeds.clone();
        others.extend(known.iter().map(|(address, _)| address.clone()));
        others.sort();
        others.dedup();
        let asked = others.iter().map(|address| {
            async move {
                let connection: MultiplexedConnection = self.access.connect(address).await?;
                SlotMap::parse(slots(connection).await?, address, version)
            }
            .boxed_local()
        });
        let (map, _) = select_ok(asked).await.map_err(|error| Failure::unreachable(error.into()))?;
        Ok(map)
    }

    fn install(&self, map: SlotMap) -> Rc<SlotMap> {
        let map = Rc::new(map);
        self.map.replace(Some(Rc::clone(&map)));
        let masters = map.masters();
        let mut nodes = self.nodes.borrow_mut();
        if nodes.len() > masters.len() + OTHERS_MAX {
            nodes.retain(|address, _| masters.contains(address));
        }
        for (address, node) in nodes.iter() {
            node.set_markers(&map.markers_of(address));
        }
        map
    }
}

async fn slots(mut link: impl redis::aio::ConnectionLike) -> RedisResult<Value> {
    redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut link).await
}
