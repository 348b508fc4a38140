//! One multiplexed connection a runtime thread, made when it is needed, made anew when it broke.
//!
//! Invariants: of the requests that find no connection, one connects and the others wait for it; when it fails
//! they fail with it, and so does whoever comes within a moment: a dead Redis costs one timeout, not one each. A
//! Redis that has lost its data is not used: in it, nobody is enrolled.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};

use redis::{
    AsyncConnectionConfig, Client, ErrorKind, InfoDict, RedisError, RedisResult, ServerErrorKind,
    aio::MultiplexedConnection,
};
use tokio::{sync::Mutex, task::spawn_local, time::timeout};

use super::{
    keys,
    marker::{Marker, Source},
};
use crate::step_up::StoreError;

/// For so long after a failed connect nobody tries again.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);
/// Commands that may wait to be written; more are an error.
const PIPELINE_MAX: usize = 1024;

pub(super) struct Connection {
    client: Client,
    timeout: Duration,
    current: RefCell<Option<MultiplexedConnection>>,
    /// Held by whoever connects.
    connecting: Mutex<()>,
    failed: Cell<Option<(Instant, Reason)>>,
    marker: Marker,
    /// Nothing is left to be done about the marker.
    marker_is_settled: Cell<bool>,
    /// Counts connections, so that the loss of an old one does not end its successor.
    generation: Cell<u64>,
}

impl Connection {
    pub(super) fn new(client: Client, timeout: Duration, marker: Marker) -> Self {
        Self {
            client,
            timeout,
            current: RefCell::default(),
            connecting: Mutex::default(),
            failed: Cell::default(),
            marker,
            marker_is_settled: Cell::default(),
            generation: Cell::default(),
        }
    }

    /// Runs something that may run twice: on a connection that turns out to be broken, once more on a new one.
    pub(super) async fn read<T>(
        &self,
        work: impl AsyncFn(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        match self.once(&work).await {
            Err(Failure { error, is_broken: true, was_fresh: false }) => {
                tracing::debug!(%error, "the connection to Redis broke; reading again on a new one");
                self.once(&work).await.map_err(|failure| failure.error)
            }
            other => other.map_err(|failure| failure.error),
        }
    }

    /// Runs something that must not run twice.
    pub(super) async fn write<T>(
        &self,
        work: impl AsyncFn(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        self.once(&work).await.map_err(|failure| failure.error)
    }

    async fn once<T>(
        &self,
        work: &impl AsyncFn(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, Failure> {
        let (connection, was_fresh) = self.get().await?;
        let generation = self.generation.get();
        let done = timeout(self.timeout, work(connection)).await;
        let (error, is_broken) = match done {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) if error.is_timeout() => (self.timed_out(), false),
            Ok(Err(error)) if is_of_the_connection(&error) => (StoreError::Unreachable(error.into()), true),
            Ok(Err(error)) => return Err(Failure::refusal(error)),
            Err(_) => (self.timed_out(), false),
        };
        // After a timeout, too: what the answer belongs to is not known any more on a stalled connection.
        if generation == self.generation.get() {
            self.current.take();
        }
        Err(Failure { error, is_broken, was_fresh })
    }

    /// To be called when somebody was found to be enrolled: from now on this Redis must have its marker. One
    /// whose enrolments were all written by a site's own code gets one here.
    ///
    /// Until that is done every such read tries it again: the wait may be given up half-way, and a Redis that is
    /// full now may not be so later. Only one that will never let us is asked no more.
    pub(super) async fn remember_marker(&self) {
        if self.marker_is_settled.get() {
            return;
        }
        let left = self.write(async |mut c| match self.marker.leave(&mut c).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => Ok(Err(error)),
            other => other.map(Ok),
        });
        match left.await {
            Ok(Ok(())) => self.marker_is_settled.set(true),
            Ok(Err(error)) => {
                self.marker_is_settled.set(true);
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    key = keys::MARKER,
                    "Redis cannot be marked as holding data, so that its loss would not be noticed: allow SET and GET \
                     on this key (docs/redis.md)"
                );
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "Redis could not be marked as holding data"
                );
            }
        }
    }

    async fn get(&self) -> Result<(MultiplexedConnection, bool), Failure> {
        if let Some(connection) = self.current.borrow().as_ref() {
            return Ok((connection.clone(), false));
        }
        let _connecting = self.connecting.lock().await;
        if let Some(connection) = self.current.borrow().as_ref() {
            return Ok((connection.clone(), true));
        }
        match self.failed.get() {
            Some((at, Reason::TimedOut)) if at.elapsed() < PAUSE_AFTER_FAILURE => {
                return Err(Failure::of_new_connection(self.timed_out()));
            }
            Some((at, Reason::Unreachable)) if at.elapsed() < PAUSE_AFTER_FAILURE => {
                return Err(Failure::unreachable("it could not be reached a moment ago".into()));
            }
            _ => {}
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout))
            .set_pipeline_buffer_size(PIPELINE_MAX);
        let connecting = async {
            let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
            self.marker.check(&mut connection).await?;
            Ok::<_, Source>(connection)
        };
        let (reason, failure) = match timeout(self.timeout, connecting).await {
            Ok(Ok(connection)) => {
                self.failed.set(None);
                self.generation.set(self.generation.get() + 1);
                self.current.replace(Some(connection.clone()));
                spawn_local(warn_of_eviction(connection.clone()));
                return Ok((connection, true));
            }
            Ok(Err(error)) if !error.downcast_ref().is_some_and(RedisError::is_timeout) => {
                (Reason::Unreachable, Failure::unreachable(error))
            }
            // A server that hangs: its kernel takes the connection, and nobody answers.
            Ok(Err(_)) | Err(_) => (Reason::TimedOut, Failure::of_new_connection(self.timed_out())),
        };
        self.failed.set(Some((Instant::now(), reason)));
        Err(failure)
    }

    fn timed_out(&self) -> StoreError {
        StoreError::TimedOut { after_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX) }
    }
}

/// Why the last attempt to connect failed.
#[derive(Clone, Copy)]
enum Reason {
    Unreachable,
    TimedOut,
}

struct Failure {
    error: StoreError,
    is_broken: bool,
    was_fresh: bool,
}

impl Failure {
    /// Trying again on a new connection would not help.
    const fn of_new_connection(error: StoreError) -> Self {
        Self { error, is_broken: false, was_fresh: true }
    }

    fn unreachable(source: Source) -> Self {
        Self::of_new_connection(StoreError::Unreachable(source))
    }

    fn refusal(error: RedisError) -> Self {
        Self { error: StoreError::Failed(error.into()), is_broken: false, was_fresh: true }
    }
}

/// Whether a new connection may help: this one broke, or leads to a server that was made a replica.
fn is_of_the_connection(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_connection_dropped()
        || error.is_unrecoverable_error()
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
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
