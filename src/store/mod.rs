//! Layer 4: enrolments and attempts, in Redis or in one file.
//!
//! Invariants: both adapters keep the same records and settle by the same rule, and one contract suite holds
//! them to it; what cannot be read or opened is an error; every wait and every queue has a bound.

mod device_record;
mod devices;
mod edit;
mod embedded;
pub(crate) mod envelope;
mod expiring;
mod fields;
pub mod key_file;
mod moving;
mod orphan_record;
mod record;
mod recovery_record;
mod redis;
mod refresh_record;
mod registry;
mod revocations;
mod session_record;
mod throttle;
mod trail;
mod trail_record;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use self::expiring::Expiring;

use self::{
    embedded::{Database, EmbeddedStore},
    key_file::{KeyFileError, KeySource},
    redis::{Marker, RedisStore},
};
pub use self::{
    embedded::{EmbeddedOpenError, EmbeddedSettings},
    redis::{RedisSettings, RedisTls, RedisTlsFault, RedisUrlFault},
};
use crate::{
    factor::{PresentedRecoveryCode, RecoveryCode, totp::TotpParameters},
    policy::lockout::{Attempt, Lockout, Settlement},
    sealing::Fingerprint,
    step_up::{AttemptLedger, EnrolmentStore, Fingerprints, Found, SharedMeter, StoreError, StoreOperation},
    types::{SubjectId, UnixTime},
};

/// Which store.
#[derive(Debug, Clone)]
pub enum StoreChoice {
    /// Redis or Valkey.
    Redis(RedisSettings),
    /// One file on this machine.
    Embedded(EmbeddedSettings),
}

impl std::fmt::Display for StoreChoice {
    /// Without user name and password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Redis(settings) => settings.fmt(f),
            Self::Embedded(settings) => write!(f, "embedded, {}", settings.path.display()),
        }
    }
}

/// What both stores go by.
#[derive(Debug, Clone, Copy)]
pub struct StoreSettings {
    /// Whether a `totp_secret` that a site's own code wrote in clear is honoured.
    pub plain_secrets: bool,
    /// The parameters of such a secret.
    pub default_totp: TotpParameters,
    /// Whether a store in which nobody was ever enrolled is refused: it has lost its data.
    pub must_exist: bool,
    /// When failures lock.
    pub lockout: Lockout,
}

/// Why a store cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum StoreOpenError {
    /// The sealing keys.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The embedded store's file.
    #[error(transparent)]
    Embedded(#[from] EmbeddedOpenError),
}

/// What was found before a store is opened.
#[derive(Debug, Clone, Copy)]
pub struct Preflight {
    /// Nobody is enrolled, and yet there are keys: the store may have lost its data.
    pub is_empty_beside_keys: bool,
}

/// Makes each runtime thread its [`Store`].
#[derive(Clone)]
pub struct Opener {
    source: Source,
    key_file: PathBuf,
    settings: StoreSettings,
}

#[derive(Clone)]
enum Source {
    Redis(RedisSettings, Marker),
    Embedded(Database),
}

impl Opener {
    /// Checks the keys and opens the embedded store's file. With that store, keys are made at first use; with
    /// Redis they must exist, for a gateway that made up its own would open nobody's records. Redis itself is
    /// not waited for.
    pub fn new(
        choice: &StoreChoice,
        key_file: PathBuf,
        settings: StoreSettings,
        now: UnixTime,
    ) -> Result<Self, StoreOpenError> {
        let source = match choice {
            StoreChoice::Redis(redis) => {
                key_file::load(&key_file)?;
                Source::Redis(redis.clone(), Marker::new(settings.must_exist))
            }
            StoreChoice::Embedded(embedded) => {
                let database = Database::open(embedded, settings.must_exist)?;
                // Only a store that holds nothing may be given new keys: others are sealed with lost ones.
                if database.is_new() {
                    key_file::create_if_absent(&key_file, now)?;
                }
                key_file::load(&key_file)?;
                Source::Embedded(database)
            }
        };
        Ok(Self { source, key_file, settings })
    }

    /// Looks whether [`Opener::new`] would go well, and changes nothing.
    pub fn preflight(
        choice: &StoreChoice,
        key_file: &Path,
        must_exist: bool,
    ) -> Result<Preflight, StoreOpenError> {
        match choice {
            StoreChoice::Redis(_) => {
                key_file::inspect(key_file, false)?;
                Ok(Preflight { is_empty_beside_keys: false })
            }
            StoreChoice::Embedded(embedded) => {
                let is_new = Database::inspect(embedded, must_exist)?;
                key_file::inspect(key_file, is_new)?;
                Ok(Preflight { is_empty_beside_keys: is_new && key_file.exists() })
            }
        }
    }

    /// Whether a Redis that has answered bears the marker that the first enrolment leaves; `None` with one file.
    pub fn is_marked(&self) -> Option<bool> {
        match &self.source {
            Source::Redis(_, marker) => Some(marker.is_known()),
            Source::Embedded(_) => None,
        }
    }

    /// The store of one runtime thread.
    pub fn open(&self) -> Result<Store, StoreOpenError> {
        self.open_with(self.settings)
    }

    /// The same, with other settings. What a gateway knows of its store stays: whether it must exist, too.
    pub fn open_with(&self, settings: StoreSettings) -> Result<Store, StoreOpenError> {
        let keys = KeySource::open(&self.key_file)?;
        let backend = match &self.source {
            Source::Redis(redis, marker) => {
                Backend::Redis(Box::new(RedisStore::new(redis, marker.clone(), settings)))
            }
            Source::Embedded(database) => Backend::Embedded(EmbeddedStore::new(database.clone(), settings)),
        };
        Ok(Store { backend, keys, settings, meter: None })
    }
}

/// Enrolments and attempts, as one runtime thread sees them.
pub struct Store {
    backend: Backend,
    keys: KeySource,
    settings: StoreSettings,
    meter: Option<SharedMeter>,
}

impl Store {
    /// Measures how long it takes.
    #[must_use]
    pub fn metered(self, meter: SharedMeter) -> Self {
        Self { meter: Some(meter), ..self }
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Redis(store) => store.ping().await,
            Backend::Embedded(store) => store.ping().await,
        }
    }

    fn measure<T>(&self, operation: StoreOperation, started: Instant, done: &Result<T, StoreError>) {
        if let Some(meter) = &self.meter {
            meter.store(operation, started.elapsed(), done.as_ref().err());
        }
    }
}

enum Backend {
    Redis(Box<RedisStore>),
    Embedded(EmbeddedStore),
}

impl EnrolmentStore for Store {
    async fn find(&self, name: &SubjectId) -> Result<Found, StoreError> {
        let started = Instant::now();
        let fields = self.fields(name).await;
        let found = fields.and_then(|fields| fields::open(&self.keys, name, &fields, &self.settings));
        self.measure(StoreOperation::Find, started, &found);
        found
    }
}

impl AttemptLedger for Store {
    async fn settle(
        &self,
        subject: &SubjectId,
        attempt: &Attempt,
        now: UnixTime,
    ) -> Result<Settlement, StoreError> {
        let started = Instant::now();
        let settled = match &self.backend {
            Backend::Redis(store) => store.settle(subject, attempt).await,
            Backend::Embedded(store) => store.settle(subject, attempt, now).await,
        };
        self.measure(StoreOperation::Settle, started, &settled);
        settled
    }
}

impl Fingerprints for Store {
    fn fingerprint(&self, subject: &SubjectId, passcode: &[u8]) -> Fingerprint {
        self.keys.with(|ring| ring.fingerprint(subject.as_str(), passcode))
    }

    fn is_recovery_code(
        &self,
        subject: &SubjectId,
        code: &RecoveryCode,
        presented: &PresentedRecoveryCode,
    ) -> bool {
        let fits = self.keys.opening(|ring| recovery_record::fits(ring, subject, code, presented));
        fits.unwrap_or_else(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, %subject, "a recovery code cannot be used");
            false
        })
    }
}
