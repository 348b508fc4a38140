//! What a contract test runs on: one store, its keys, and a clock that stands still until it is moved.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tfa_gateway::{
    factor::{
        self, Passcode,
        totp::{Totp, TotpParameters},
    },
    identity::fold_username,
    policy::{
        Enrolment,
        lockout::{Attempt, Lockout, Settlement},
    },
    step_up::{
        AttemptLedger as _, EnrolmentRegistry as _, EnrolmentStore as _, Fingerprints as _, NewFactor,
        StoreError,
    },
    store::{
        EmbeddedSettings, Opener, RedisSettings, Store, StoreChoice, StoreOpenError, StoreSettings, key_file,
    },
    types::{FactorId, Secret, SubjectId, UnixTime},
};
use tokio::runtime::{Builder, LocalOptions};

use crate::support::{
    Clock, PATIENCE, RedisServer,
    site::{Particulars, RedisSite, Topology},
};

/// How long a person waits after an error.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(20);
pub(crate) const START: u64 = 1_900_000_000;
pub(crate) const LOCKOUT: Lockout =
    Lockout { failures_max: 5, window_secs: 900, lock_secs: 900, lock_secs_max: 3600 };

/// Where enrolments and attempts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreKind {
    /// One `redis-server`.
    Redis,
    /// A master with a replica and a Sentinel.
    Sentinel,
    /// A cluster of three masters.
    Cluster,
    /// One file.
    Embedded,
}

/// Makes one test for each store.
macro_rules! on_every_store {
    ($($(#[$meta:meta])* fn $name:ident($store:ident: $kind:ty) $body:block)*) => {$(
        $(#[$meta])*
        fn $name($store: $kind) $body

        mod $name {
            #[test]
            fn on_redis() {
                super::$name(crate::stand::StoreKind::Redis);
            }

            #[test]
            fn on_sentinel() {
                super::$name(crate::stand::StoreKind::Sentinel);
            }

            #[test]
            fn on_a_cluster() {
                super::$name(crate::stand::StoreKind::Cluster);
            }

            #[test]
            fn on_the_embedded_store() {
                super::$name(crate::stand::StoreKind::Embedded);
            }
        }
    )*};
}
pub(crate) use on_every_store;

pub(crate) struct Stand {
    pub(crate) clock: Clock,
    pub(crate) redis: Option<RedisSite>,
    pub(crate) dir: Directory,
    pub(crate) timeout: Duration,
    pub(crate) plain_secrets: bool,
    pub(crate) must_exist: bool,
    /// What is set beside the URL.
    pub(crate) redis_settings: fn(&Path, RedisSettings) -> RedisSettings,
}

/// Where a stand's files are.
pub(crate) enum Directory {
    /// Removed with the stand.
    Own(TempDir),
    /// Another stand's.
    Shared(PathBuf),
}

impl Directory {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Own(dir) => dir.path(),
            Self::Shared(path) => path,
        }
    }
}

/// A subject's name, folded.
pub(crate) fn subject(name: &str) -> SubjectId {
    fold_username(name).expect("a user name")
}

/// A TOTP secret, made of one byte.
pub(crate) fn totp(byte: u8) -> Totp {
    Totp::new(TotpParameters::default(), &Secret::new(vec![byte; 20])).expect("long enough")
}

/// A factor of that id, or of one that the store makes.
pub(crate) fn new_factor(id: Option<&str>, totp: Totp) -> NewFactor {
    let id = id.map(|id| FactorId::parse(id).expect("a factor id"));
    NewFactor { id, label: Some("phone".into()), enrolled_at: UnixTime::from_secs(START), totp }
}

/// Accepted, for the factor of that id.
pub(crate) fn accepted(id: &str) -> Settlement {
    Settlement::Accepted { factor: FactorId::parse(id).expect("a factor id") }
}

impl Stand {
    pub(crate) fn new(kind: StoreKind) -> Self {
        let clock = Clock::standing_at(START);
        let start = |topology| Some(RedisSite::start(topology, &clock, Particulars::default()));
        let redis = match kind {
            StoreKind::Embedded => None,
            StoreKind::Redis => start(Topology::Standalone),
            StoreKind::Sentinel => start(Topology::Sentinel),
            StoreKind::Cluster => start(Topology::Cluster),
        };
        clock.set(START); // it may have been moved to get there
        Self::on(redis, clock)
    }

    /// On a Redis that runs already.
    pub(crate) fn on(redis: Option<RedisSite>, clock: Clock) -> Self {
        Self::in_own_directory(redis, clock, tempfile::tempdir().expect("a directory"))
    }

    /// The same with files that are there already.
    pub(crate) fn in_own_directory(redis: Option<RedisSite>, clock: Clock, dir: TempDir) -> Self {
        let dir = Directory::Own(dir);
        let stand = Self {
            clock,
            redis,
            dir,
            timeout: Duration::from_secs(20),
            plain_secrets: false,
            must_exist: false,
            redis_settings: |_, settings| settings,
        };
        key_file::generate(&stand.key_file(), stand.now()).expect("a key file");
        stand
    }

    /// The embedded store of another stand.
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self {
            clock: Clock::standing_at(START),
            redis: None,
            dir: Directory::Shared(directory.to_owned()),
            timeout: Duration::from_secs(20),
            plain_secrets: false,
            must_exist: false,
            redis_settings: |_, settings| settings,
        }
    }

    pub(crate) fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.clock.now())
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.dir.path().join("sealing.keys")
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("store.db")
    }

    /// The one server, or the first of them.
    pub(crate) fn redis(&mut self) -> &mut RedisServer {
        &mut self.site().servers[0]
    }

    pub(crate) fn site(&mut self) -> &mut RedisSite {
        self.redis.as_mut().expect("a stand with Redis")
    }

    /// What threads and processes open stores with.
    pub(crate) fn opener(&self) -> Opener {
        self.try_opener().expect("a store")
    }

    /// The same, where it may be refused.
    pub(crate) fn try_opener(&self) -> Result<Opener, StoreOpenError> {
        let choice = match &self.redis {
            Some(redis) => {
                let settings = RedisSettings::parse(&redis.url(), self.timeout).expect("a URL");
                let settings = (self.redis_settings)(self.dir.path(), settings);
                StoreChoice::Redis(settings.with_wait_replicas(redis.replicas()))
            }
            None => StoreChoice::Embedded(EmbeddedSettings { path: self.file(), timeout: self.timeout }),
        };
        let settings = StoreSettings {
            plain_secrets: self.plain_secrets,
            must_exist: self.must_exist,
            default_totp: TotpParameters::default(),
            lockout: LOCKOUT,
        };
        Opener::new(&choice, self.key_file(), settings, self.now())
    }

    /// Works on a store that is opened for it.
    pub(crate) fn run<T>(&self, work: impl AsyncFnOnce(&Store) -> T) -> T {
        run(&self.opener(), work)
    }

    /// Enrols alice with one factor, `f1`.
    pub(crate) fn enrol_alice(&self) -> Totp {
        let new = new_factor(Some("f1"), totp(1));
        self.run(async |store| store.enrol(&subject("alice"), new).await).expect("enrolled");
        totp(1)
    }

    /// Presents a passcode as the flow does: load, compare, settle.
    pub(crate) async fn present(
        &self,
        store: &Store,
        name: &str,
        code: &str,
    ) -> Result<Settlement, StoreError> {
        present_at(store, name, code, self.now()).await
    }

    /// Presents alice's passcode on a store opened for it.
    pub(crate) fn alice_presents(&self, code: &str) -> Settlement {
        self.run(async |store| self.present(store, "alice", code).await).expect("settled")
    }

    /// Replaces the records of a factor, by the public layout.
    pub(crate) fn write_record(&mut self, name: &str, id: &str, record: &str) {
        if let Some(redis) = &self.redis {
            redis.cli(&["HSET", &format!("tfa:{{{name}}}:enrolment"), &format!("totp:{id}"), record]);
        } else {
            let sql = "INSERT OR REPLACE INTO factors (subject, factor_id, record) VALUES (?1, ?2, ?3)";
            let file = rusqlite::Connection::open(self.file()).expect("the file");
            file.execute(sql, (name, id, record.as_bytes())).expect("written");
        }
    }

    /// Reads the record of a factor, by the public layout.
    pub(crate) fn read_record(&self, name: &str, id: &str) -> String {
        if let Some(redis) = &self.redis {
            redis.cli(&["HGET", &format!("tfa:{{{name}}}:enrolment"), &format!("totp:{id}")])
        } else {
            let sql = "SELECT record FROM factors WHERE subject = ?1 AND factor_id = ?2";
            let file = rusqlite::Connection::open(self.file()).expect("the file");
            let record: Vec<u8> = file.query_row(sql, (name, id), |row| row.get(0)).expect("a record");
            String::from_utf8(record).expect("JSON")
        }
    }

    /// Takes the keys away and leaves others.
    pub(crate) fn change_keys(&self) -> Vec<u8> {
        let old = fs::read(self.key_file()).expect("the keys");
        fs::remove_file(self.key_file()).expect("removed");
        key_file::generate(&self.key_file(), self.now()).expect("a key file");
        old
    }

    /// Puts keys back.
    pub(crate) fn restore_keys(&self, keys: &[u8]) {
        let beside = self.key_file().with_extension("new");
        fs::write(&beside, keys).expect("written");
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)).expect("closed");
        fs::rename(beside, self.key_file()).expect("renamed");
    }
}

/// Works on a store that is opened for it, on a runtime like that of a data-plane thread.
pub(crate) fn run<T>(opener: &Opener, work: impl AsyncFnOnce(&Store) -> T) -> T {
    let runtime =
        Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).expect("a runtime");
    runtime.block_on(async { work(&opener.open().expect("a store")).await })
}

/// What comes of what is tried again as long as it is an error: while there is no master, or nobody has a copy. A
/// Sentinel may go on to order its servers about when the failover is over.
pub(crate) async fn in_the_end<T>(mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(outcome) = attempt().await {
            return outcome;
        }
        assert!(since.elapsed() < PATIENCE, "it does not come back");
        tokio::time::sleep(TRY_AGAIN_AFTER).await; // as people do
    }
}

/// Load, compare, settle.
pub(crate) async fn present_at(
    store: &Store,
    name: &str,
    code: &str,
    now: UnixTime,
) -> Result<Settlement, StoreError> {
    let (subject, passcode) = (subject(name), Passcode::from_bytes(code.as_bytes()));
    let Enrolment::Active(factors) = store.load(&subject).await? else { panic!("{name} is not enrolled") };
    let attempt = Attempt {
        fit: factor::verify(&factors, &passcode, now, |code, presented| {
            store.is_recovery_code(&subject, code, presented)
        }),
        fingerprint: store.fingerprint(&subject, passcode.expose()),
        window_secs: factor::window_secs(&factors),
    };
    store.settle(&subject, &attempt, now).await
}

/// Does the same in many threads at the same moment.
pub(crate) fn at_once<T: Send>(hands: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let together = Barrier::new(hands);
    thread::scope(|scope| {
        let start = |n| {
            let (together, work) = (&together, &work);
            scope.spawn(move || {
                together.wait();
                work(n)
            })
        };
        let threads: Vec<_> = (0..hands).map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}
