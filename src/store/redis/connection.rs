//! One multiplexed connection to one place, made when it is needed, made anew when it broke.
//!
//! Invariants: of the requests that find no connection, one connects and the others wait for it; when it fails they
//! fail with it, and until a pause is over whoever comes fails at once; after that a single one tries again. A
//! Redis that has lost its data is not used: in it, nobody is enrolled. Nor is a replica: it may know less.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use redis::{ErrorKind, InfoDict, RedisResult, ServerErrorKind, aio::MultiplexedConnection};
use tokio::{
    sync::Mutex,
    task::spawn_local,
    time::{Instant, timeout, timeout_at},
};

use super::{
    breaker::{Breaker, Reason},
    fault::{Fault, Instead},
    link::Link,
    marker::{Marker, Source},
    sentinel::Sentinels,
    settings::{Access, Address},
};
use crate::step_up::StoreError;

/// For so long a request waits for the one that tries whether Redis is back.
const PROBE_MAY_TAKE: Duration = Duration::from_millis(100);
/// So often the Sentinels are asked whether the master is still the same.
const ASK_SENTINELS_EVERY: Duration = Duration::from_secs(2);

/// What a connection leads to.
pub(super) enum Place {
    Server(Access, Address),
    Master(Access, Sentinels),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(_, address) => write!(f, "{address}"),
            Self::Master(..) => f.write_str("the Sentinels' master"),
        }
    }
}

impl Place {
    async fn connect(&self) -> RedisResult<(MultiplexedConnection, Address)> {
        let (access, address) = match self {
            Self::Server(access, address) => (access, address.clone()),
            Self::Master(access, sentinels) => (access, sentinels.master().await?),
        };
        Ok((access.connect(&address).await?, address))
    }
}

#[derive(Clone)]
pub(super) struct Connection(Rc<Inner>);

struct Inner {
    place: Place,
    timeout: Duration,
    current: RefCell<Option<Rc<Current>>>,
    /// Held by whoever connects.
    connecting: Arc<Mutex<()>>,
    breaker: Breaker,
    marker: Marker,
    /// The keys of the markers that must be there.
    markers: RefCell<Rc<[String]>>,
    /// Nothing is left to be done about the markers.
    marker_is_settled: Cell<bool>,
    /// Counts connections.
    generation: Cell<u64>,
    sentinels_asked: Cell<Option<Instant>>,
}

struct Current {
    connection: MultiplexedConnection,
    address: Address,
    /// So that the loss of an old one does not end its successor.
    generation: u64,
}

/// Why an operation gave no value, and what became of it.
pub(super) struct Failure {
    pub(super) error: StoreError,
    pub(super) fault: Fault,
    /// The connection was made for it: another new one would not help.
    pub(super) was_fresh: bool,
}

impl Failure {
    fn new(error: StoreError, fault: Fault) -> Self {
        Self { error, fault, was_fresh: true }
    }

    pub(super) fn unreachable(source: Source) -> Self {
        Self::new(StoreError::Unreachable(source), Fault::Unreachable)
    }

    pub(super) fn timed_out(after: Duration) -> Self {
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        Self::new(StoreError::TimedOut { after_ms }, Fault::TimedOut)
    }

    /// Somebody else's failure a moment ago is this one's, too.
    pub(super) fn paused(reason: Reason, after: Duration) -> Self {
        let failure = match reason {
            Reason::Unreachable => Self::unreachable("it could not be reached a moment ago".into()),
            Reason::TimedOut => Self::timed_out(after),
        };
        Self { fault: Fault::Unreachable, ..failure }
    }
}

impl Connection {
    pub(super) fn new(place: Place, timeout: Duration, marker: Marker, markers: &[String]) -> Self {
        let breaker = Breaker::new(marker.returns.of(place.to_string()));
        Self(Rc::new(Inner {
            place,
            timeout,
            current: RefCell::default(),
            connecting: Arc::default(),
            breaker,
            marker,
            markers: RefCell::new(markers.into()),
            marker_is_settled: Cell::default(),
            generation: Cell::default(),
            sentinels_asked: Cell::default(),
        }))
    }

    /// Runs something once, if there is a connection. `asking`: this node was named by `ASK`.
    pub(super) async fn once<T>(
        &self,
        asking: bool,
        deadline: Instant,
        work: &impl AsyncFn(Link) -> RedisResult<T>,
    ) -> Result<T, Failure> {
        let inner = &self.0;
        let (current, was_fresh) = self.get(deadline).await?;
        let link = Link::new(current.connection.clone(), asking);
        let Ok(done) = timeout_at(deadline, work(link)).await else {
            // What the answer belongs to is not known any more on a stalled connection.
            if inner.forget(current.generation) {
                inner.breaker.trip(Reason::TimedOut);
            }
            return Err(Failure { was_fresh, ..Failure::timed_out(inner.timeout) });
        };
        let error = match done {
            Ok(value) => {
                inner.breaker.reset();
                return Ok(value);
            }
            Err(error) => error,
        };
        let fault = Fault::of(&error);
        let error = match fault {
            Fault::Refused => StoreError::Failed(error.into()),
            _ => StoreError::Unreachable(error.into()),
        };
        if matches!(fault, Fault::Broken | Fault::NotRun(Instead::FindMaster)) {
            inner.forget(current.generation);
        }
        Err(Failure { error, fault, was_fresh })
    }

    /// Nobody goes there for a while.
    pub(super) fn leave_alone(&self) {
        self.0.current.take();
        self.0.breaker.trip(Reason::Unreachable);
    }

    /// Whether there is a connection.
    pub(super) fn is_made(&self) -> bool {
        self.0.current.borrow().is_some()
    }

    /// Whether nothing is left to be done about its markers.
    pub(super) fn is_marked(&self) -> bool {
        self.0.marker_is_settled.get()
    }

    /// Makes these the markers that must be there. What came to the node is looked at before it is used.
    pub(super) fn set_markers(&self, markers: &[String]) {
        let before = Rc::clone(&self.0.markers.borrow());
        if *before == *markers {
            return;
        }
        let has_more = markers.iter().any(|key| !before.contains(key));
        self.0.markers.replace(markers.into());
        if has_more {
            self.0.marker_is_settled.set(false);
            self.0.current.take();
        }
    }

    /// To be called when somebody was found to be enrolled: from now on this Redis must have its markers. One
    /// whose enrolments were all written by a site's own code gets them here.
    ///
    /// Until that is done every such read tries it again: the wait may be given up half-way, and a Redis that is
    /// full now may not be so later. Only one that will never let us is asked no more.
    pub(super) async fn remember_marker(&self) {
        let inner = &self.0;
        if inner.marker_is_settled.get() || inner.breaker.is_open().is_some() {
            return;
        }
        let markers = Rc::clone(&inner.markers.borrow());
        let leave = async |link: Link| match inner.marker.leave(&link, &markers).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => Ok(Err(error)),
            other => other.map(Ok),
        };
        match self.once(false, Instant::now() + inner.timeout, &leave).await {
            // The markers may have become others meanwhile.
            Ok(Ok(())) => inner.marker_is_settled.set(Rc::ptr_eq(&markers, &inner.markers.borrow())),
            Ok(Err(error)) => {
                inner.marker_is_settled.set(true);
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "Redis cannot be marked as holding data, so that its loss would not be noticed: allow SET and GET \
                     on tfa:marker and tfa:{{marker:*}} (docs/redis.md)"
                );
            }
            Err(Failure { error, .. }) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "Redis could not be marked as holding data"
                );
            }
        }
    }

    async fn get(&self, deadline: Instant) -> Result<(Rc<Current>, bool), Failure> {
        let inner = &self.0;
        let current = inner.current.borrow().clone();
        if let Some(current) = current {
            inner.ask_sentinels_now_and_then(&current);
            return Ok((current, false));
        }
        if let Some(reason) = inner.breaker.is_open() {
            return Err(Failure::paused(reason, inner.timeout));
        }
        let lock = Arc::clone(&inner.connecting);
        let failed_before = inner.breaker.is_half_open();
        let connecting = match failed_before {
            Some(reason) => lock.try_lock_owned().map_err(|_| Failure::paused(reason, inner.timeout))?,
            None => timeout_at(deadline, lock.lock_owned())
                .await
                .map_err(|_| Failure::timed_out(inner.timeout))?,
        };
        if let Some(current) = inner.current.borrow().clone() {
            return Ok((current, true));
        }
        if let Some(reason) = inner.breaker.is_open() {
            return Err(Failure::paused(reason, inner.timeout));
        }
        // On a task of its own, so that whoever leaves does not take the connection along.
        let of_task = Rc::clone(inner);
        let task = spawn_local(async move {
            let connected = of_task.connect().await;
            drop(connecting);
            connected
        });
        let patience = match failed_before {
            Some(_) => deadline.min(Instant::now() + PROBE_MAY_TAKE),
            None => deadline,
        };
        match timeout_at(patience, task).await {
            Ok(Ok(connected)) => connected.map(|current| (current, true)),
            Ok(Err(ended)) => Err(Failure::unreachable(ended.into())),
            Err(_) => Err(Failure::paused(failed_before.unwrap_or(Reason::TimedOut), inner.timeout)),
        }
    }
}

impl Inner {
    async fn connect(&self) -> Result<Rc<Current>, Failure> {
        let markers = Rc::clone(&self.markers.borrow());
        let connecting = async {
            let (connection, address) = self.place.connect().await?;
            tokio::try_join!(self.check_role(&connection), self.marker.check(&connection, &markers))?;
            Ok::<_, Source>((connection, address))
        };
        let (reason, failure) = match timeout(self.timeout, connecting).await {
            // While it was made, more came to the node than was looked at.
            Ok(Ok(_)) if !Rc::ptr_eq(&markers, &self.markers.borrow()) => {
                return Err(Failure::new(
                    StoreError::Unreachable("the cluster has just changed".into()),
                    Fault::NotRun(Instead::WaitForSlot),
                ));
            }
            Ok(Ok((connection, address))) => {
                self.breaker.close();
                let generation = self.generation.get() + 1;
                self.generation.set(generation);
                spawn_local(warn_of_eviction(connection.clone()));
                let current = Rc::new(Current { connection, address, generation });
                self.sentinels_asked.set(Some(Instant::now()));
                self.current.replace(Some(Rc::clone(&current)));
                return Ok(current);
            }
            Ok(Err(error)) => match error.downcast_ref().map(Fault::of) {
                // It is there, and knows who has the slots now.
                Some(Fault::NotRun(Instead::FindOwner)) => {
                    return Err(Failure::new(
                        StoreError::Unreachable(error),
                        Fault::NotRun(Instead::FindOwner),
                    ));
                }
                _ => (Reason::Unreachable, Failure::unreachable(error)),
            },
            // A server that hangs: its kernel takes the connection, and nobody answers. Nothing was sent, either.
            Err(_) => {
                let failure = Failure::timed_out(self.timeout);
                (Reason::TimedOut, Failure { fault: Fault::Unreachable, ..failure })
            }
        };
        self.breaker.trip(reason);
        Err(failure)
    }

    /// Forgets a connection, if it is still that one. Answers whether it was.
    fn forget(&self, generation: u64) -> bool {
        let mut current = self.current.borrow_mut();
        current.take_if(|current| current.generation == generation).is_some()
    }

    /// A replica may know less than its master, and must not say who is not enrolled.
    async fn check_role(&self, connection: &MultiplexedConnection) -> Result<(), Source> {
        let mut connection = connection.clone();
        let info: RedisResult<InfoDict> =
            redis::cmd("INFO").arg("replication").query_async(&mut connection).await;
        match info {
            Ok(info) if info.get::<String>("role").is_some_and(|role| role != "master") => {
                Err("it is a replica".into())
            }
            Ok(_) => Ok(()),
            // Not allowed, or a proxy that does not know it. Sentinels may be wrong, so there it must be known.
            Err(error) if Fault::of(&error) == Fault::Refused && matches!(self.place, Place::Server(..)) => {
                tracing::debug!("Redis does not let us ask whether it is a replica (INFO)");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A failover closes connections to the old master, unless that master was cut off from all but us.
    fn ask_sentinels_now_and_then(self: &Rc<Self>, current: &Current) {
        if !matches!(self.place, Place::Master(..))
            || self.sentinels_asked.get().is_some_and(|at| at.elapsed() < ASK_SENTINELS_EVERY)
        {
            return;
        }
        self.sentinels_asked.set(Some(Instant::now()));
        let (inner, known, generation) = (Rc::clone(self), current.address.clone(), current.generation);
        spawn_local(async move {
            let Place::Master(_, sentinels) = &inner.place else { return };
            if let Ok(Ok(master)) = timeout(inner.timeout, sentinels.master()).await
                && master != known
                && inner.forget(generation)
            {
                tracing::info!(%known, %master, "the Sentinels name another master");
            }
        });
    }
}

/// A Redis that evicts keys turns enrolled users into users who never enrolled.
async fn warn_of_eviction(mut connection: MultiplexedConnection) {
    let info: RedisResult<InfoDict> = redis::cmd("INFO").arg("memory").query_async(&mut connection).await;
    let Ok(info) = info else {
        tracing::debug!("Redis does not let us ask for its memory policy (INFO)");
        return;
    };
    let text = |key| info.get::<String>(key).unwrap_or_default();
    let policy = text("maxmemory_policy");
    if text("maxmemory") != "0" && policy != "noeviction" {
        tracing::error!(
            policy,
            "Redis may evict keys when its memory is full, and who is evicted looks like someone who never enrolled: \
             set maxmemory-policy noeviction"
        );
    }
}
