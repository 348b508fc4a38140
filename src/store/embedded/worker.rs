//! Work for a thread that owns a connection, and its answers.

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::file::StoreFile;
use crate::step_up::StoreError;

/// Pieces of work that may wait for a thread; what comes on top of them is refused.
pub(super) const WAITING_MAX: usize = 1024;
/// Pieces of work that are committed at once.
const BATCH_MAX: usize = 64;

/// A piece of work whose result type is not known to the thread that does it.
pub(super) trait Job: Send {
    /// Does it, and keeps the result, unless nobody waits for it any more: who was told that it failed may
    /// rely on it. Says whether it was done.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Answers with the result, or with an error, if what was done was not kept.
    fn answer(self: Box<Self>, not_kept: Option<StoreError>);
}

struct Task<W, T> {
    work: Option<W>,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<W, T> Job for Task<W, T>
where
    W: FnOnce(&Connection) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        if self.reply.is_closed() {
            return false;
        }
        self.result = self.work.take().map(|work| work(connection));
        matches!(self.result, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, not_kept: Option<StoreError>) {
        let result = match (not_kept, self.result) {
            (Some(error), _) => Err(error),
            (None, Some(result)) => result,
            (None, None) => Err(StoreError::Overloaded),
        };
        // Whoever asked may have gone.
        let _ = self.reply.send(result);
    }
}

/// Wraps a piece of work.
pub(super) fn job<W, T>(work: W) -> (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>)
where
    W: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    T: Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Task { work: Some(work), result: None, reply }), answer)
}

/// Reads, one after the other.
pub(super) fn read(file: &StoreFile, connection: &Connection, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
    while let Some(mut job) = jobs.blocking_recv() {
        match file.check() {
            Ok(()) => {
                job.run(connection);
                job.answer(None);
            }
            Err(replaced) => job.answer(Some(replaced)),
        }
    }
}

/// Writes what is waiting in one transaction, and answers when it is on the disk.
pub(super) fn write(file: &StoreFile, connection: &Connection, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
    while let Some(first) = jobs.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH_MAX
            && let Ok(next) = jobs.try_recv()
        {
            batch.push(next);
        }
        if let Err(replaced) = file.check() {
            let replaced = Arc::new(replaced);
            for job in batch {
                job.answer(Some(StoreError::Failed(Arc::clone(&replaced).into())));
            }
            continue;
        }
        let kept = commit(connection, &mut batch).map_err(Arc::new);
        if let Err(error) = &kept {
            tracing::error!(
                error = &**error as &dyn std::error::Error,
                "the embedded store could not commit"
            );
            if !connection.is_autocommit()
                && let Err(error) = connection.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "the embedded store could not roll back");
            }
        }
        for job in batch {
            job.answer(kept.as_ref().err().map(|error| StoreError::Failed(Arc::clone(error).into())));
        }
    }
}

/// Each piece of work has a savepoint of its own, so that one that fails is undone alone.
fn commit(connection: &Connection, batch: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    for job in batch {
        connection.execute_batch("SAVEPOINT job")?;
        if !job.run(connection) {
            connection.execute_batch("ROLLBACK TO job")?;
        }
        connection.execute_batch("RELEASE job")?;
    }
    connection.execute_batch("COMMIT")
}
