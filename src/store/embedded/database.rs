//! The file, and the two threads that own connections to it.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::mpsc;

use super::{
    super::key_file::{may_write, may_write_into},
    devices, expiring,
    file::StoreFile,
    ledger, revocations, throttle, trail,
    worker::{self, Job, WAITING_MAX},
};
use crate::step_up::StoreError;

/// `TFAG`: tells our files from others'.
const APPLICATION_ID: i32 = 0x5446_4147;
/// The layout that this version reads and writes.
const SCHEMA_VERSION: i32 = 9;
/// What each layout added to the one before it, from the second on.
const ADDED: [&str; 8] = [
    revocations::SCHEMA,
    expiring::REFRESH_SCHEMA,
    ledger::SCHEMA,
    trail::SCHEMA,
    expiring::SESSIONS_SCHEMA,
    devices::SCHEMA,
    devices::ORDER_SCHEMA,
    trail::LISTS_SCHEMA,
];
const SCHEMA: &str = "
    CREATE TABLE factors (
        subject TEXT NOT NULL,
        factor_id TEXT NOT NULL,
        record BLOB NOT NULL,
        PRIMARY KEY (subject, factor_id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE ledger (
        subject TEXT PRIMARY KEY,
        state TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// Where the file is, and how long it may take.
#[derive(Debug, Clone)]
pub struct EmbeddedSettings {
    /// The file. It is made at first use; its directory is not.
    pub path: PathBuf,
    /// The time for every answer, waiting for other processes included.
    pub timeout: Duration,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedOpenError {
    /// It cannot be made.
    #[error("the store {path} cannot be opened; does its directory exist, and may this user write to it?", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// SQLite does not take it.
    #[error("the store {path} cannot be used", path = path.display())]
    Sqlite {
        /// Which file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// It is another user's.
    #[error(
        "the store {path} belongs to user {owner} and cannot be opened by user {own}; run this as that user, or \
         `chown` the store and the files beside it",
        path = path.display()
    )]
    OfAnother {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who runs this.
        own: u32,
    },
    /// It is not there, and should be.
    #[error(
        "the store {path} does not exist, and the configuration has [store] must_exist = true; restore it, for in a new \
         one nobody is enrolled",
        path = path.display()
    )]
    Missing {
        /// Which file.
        path: PathBuf,
    },
    /// Others may write it.
    #[error(
        "the store {path} has mode {mode:04o}, so that others can write it; it must be 0600: run `chmod 600 {path}`",
        path = path.display()
    )]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is a database of something else.
    #[error("the file {path} is a database, but not one of tfa-gateway", path = path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
    /// A newer gateway wrote it.
    #[error("the store {path} has layout {found}, and this version knows {SCHEMA_VERSION}: a newer one wrote it", path = path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its layout.
        found: i32,
    },
}

/// The open file. Clones share its threads; the last one waits for them.
#[derive(Clone)]
pub(in super::super) struct Database(Arc<Threads>);

struct Threads {
    reads: Option<mpsc::Sender<Box<dyn Job>>>,
    writes: Option<mpsc::Sender<Box<dyn Job>>>,
    handles: Vec<JoinHandle<()>>,
    timeout: Duration,
    is_new: bool,
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.reads.take();
        self.writes.take();
        for thread in self.handles.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the embedded store panicked");
            }
        }
    }
}

impl Database {
    /// Looks whether [`Database::open`] would go well, and changes nothing. Answers whether nobody is enrolled there.
    pub(in super::super) fn inspect(
        settings: &EmbeddedSettings,
        must_exist: bool,
    ) -> Result<bool, EmbeddedOpenError> {
        let path = &settings.path;
        let sqlite = |source| EmbeddedOpenError::Sqlite { path: path.clone(), source };
        if !path.exists() {
            if must_exist {
                return Err(EmbeddedOpenError::Missing { path: path.clone() });
            }
            may_write_into(directory_of(path))
                .map_err(|source| EmbeddedOpenError::Io { path: path.clone(), source })?;
            return Ok(true);
        }
        StoreFile::at(path)?;
        may_write(path).map_err(|source| EmbeddedOpenError::Io { path: path.clone(), source })?;
        // To read only would leave the two files behind that SQLite makes beside it.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
        connection.busy_timeout(settings.timeout).map_err(sqlite)?;
        if layout(path, &connection)?.is_none() {
            return Ok(true);
        }
        is_of_nobody(&connection).map_err(sqlite)
    }

    /// Opens the file, makes it if there is none, and checks that it is ours.
    pub(in super::super) fn open(
        settings: &EmbeddedSettings,
        must_exist: bool,
    ) -> Result<Self, EmbeddedOpenError> {
        let path = &settings.path;
        if must_exist && !path.exists() {
            return Err(EmbeddedOpenError::Missing { path: path.clone() });
        }
        let io = |source| EmbeddedOpenError::Io { path: path.clone(), source };
        let sqlite = |source| EmbeddedOpenError::Sqlite { path: path.clone(), source };
        if !path.exists() {
            make(settings)?;
        }
        let file = StoreFile::at(path)?;
        let writer = connect(path, settings.timeout).map_err(|source| {
            let owner = std::fs::metadata(path).map_or(0, |found| found.uid());
            let own = rustix::process::geteuid().as_raw();
            if owner == own {
                sqlite(source)
            } else {
                EmbeddedOpenError::OfAnother { path: path.clone(), owner, own }
            }
        })?;
        prepare(path, &writer)?;
        writer.execute_batch(throttle::SCHEMA).map_err(sqlite)?;
        let is_new = is_of_nobody(&writer).map_err(sqlite)?;
        let reader = connect(path, settings.timeout).map_err(sqlite)?;
        let (reading, read_jobs) = mpsc::channel(WAITING_MAX);
        let (writing, write_jobs) = mpsc::channel(WAITING_MAX);
        let file_to_read = file.clone();
        let handles = vec![
            thread::Builder::new()
                .name("store-reader".into())
                .spawn(move || worker::read(&file_to_read, &reader, read_jobs))
                .map_err(io)?,
            thread::Builder::new()
                .name("store-writer".into())
                .spawn(move || worker::write(&file, &writer, write_jobs))
                .map_err(io)?,
        ];
        let timeout = settings.timeout;
        Ok(Self(Arc::new(Threads { reads: Some(reading), writes: Some(writing), handles, timeout, is_new })))
    }

    /// Whether nobody was enrolled when it was opened.
    pub(in super::super) fn is_new(&self) -> bool {
        self.0.is_new
    }

    /// Reads, beside whoever writes.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(self.0.reads.as_ref(), work).await
    }

    /// Reads and writes, alone among all processes that have the file open.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(self.0.writes.as_ref(), work).await
    }

    async fn run<T: Send + 'static>(
        &self,
        thread: Option<&mpsc::Sender<Box<dyn Job>>>,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (job, answer) = worker::job(work);
        thread.ok_or(StoreError::Overloaded)?.try_send(job).map_err(|_| StoreError::Overloaded)?;
        match tokio::time::timeout(self.0.timeout, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(gone)) => Err(StoreError::Unreachable(gone.into())),
            Err(_) => {
                let after_ms = u64::try_from(self.0.timeout.as_millis()).unwrap_or(u64::MAX);
                Err(StoreError::TimedOut { after_ms })
            }
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn is_of_nobody(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM factors)", [], |row| row.get(0))
}

/// Makes the file beside its place and moves it there when it is whole, unless another process was faster.
///
/// It is not opened here and closed again in its place: that would release whatever locks this process has on
/// it (POSIX locks belong to the process), and changing a file that others open to WAL does not wait for them.
/// SQLite gives the files beside it the same mode.
fn make(settings: &EmbeddedSettings) -> Result<(), EmbeddedOpenError> {
    let path = &settings.path;
    let io = |source| EmbeddedOpenError::Io { path: path.clone(), source };
    let sqlite = |source| EmbeddedOpenError::Sqlite { path: path.clone(), source };
    let directory = directory_of(path);
    let new = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(directory)
        .map_err(io)?
        .into_temp_path();
    let connection = connect(&new, settings.timeout).map_err(sqlite)?;
    prepare(path, &connection)?;
    connection.close().map_err(|(_, error)| sqlite(error))?;
    match new.persist_noclobber(path) {
        Err(taken) if taken.error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        other => other.map_err(|failed| io(failed.error))?,
    }
    // The name, too, must survive a power cut: without its file, everybody would be a stranger.
    fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(io)
}

fn connect(path: &Path, timeout: Duration) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(timeout)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

/// Makes the tables in an empty file, and refuses what is not ours.
fn prepare(path: &Path, connection: &Connection) -> Result<(), EmbeddedOpenError> {
    let sqlite = |source| EmbeddedOpenError::Sqlite { path: path.to_owned(), source };
    // Two processes may find it empty at once: one of them makes the tables.
    let transaction =
        rusqlite::Transaction::new_unchecked(connection, rusqlite::TransactionBehavior::Immediate)
            .map_err(sqlite)?;
    let added = if let Some(added) = layout(path, &transaction)? {
        added
    } else {
        transaction.execute_batch(SCHEMA).map_err(sqlite)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(sqlite)?;
        0
    };
    if added < ADDED.len() {
        for addition in &ADDED[added..] {
            transaction.execute_batch(addition).map_err(sqlite)?;
        }
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(sqlite)?;
    }
    transaction.commit().map_err(sqlite)
}

/// How many of the additions are there already; `None` of an empty file. Refuses what is not ours.
fn layout(path: &Path, connection: &Connection) -> Result<Option<usize>, EmbeddedOpenError> {
    let sqlite = |source| EmbeddedOpenError::Sqlite { path: path.to_owned(), source };
    let number =
        |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0)).map_err(sqlite);
    let (application_id, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(sqlite)?;
    if tables == 0 && application_id == 0 {
        return Ok(None);
    }
    if application_id != APPLICATION_ID {
        return Err(EmbeddedOpenError::Foreign { path: path.to_owned() });
    }
    match usize::try_from(version).ok().and_then(|version| version.checked_sub(1)) {
        Some(added) if added <= ADDED.len() => Ok(Some(added)),
        _ => Err(EmbeddedOpenError::Newer { path: path.to_owned(), found: version }),
    }
}
