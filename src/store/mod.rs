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
mod trail;
mod trail_record;

use std::path::PathBuf;

use self::expiring::Expiring;

use self::{
    embedded::{Database, EmbeddedStore},
    key_file::{KeyFileError, KeySource},
    redis::{Marker, RedisStore},
};
pub use self::{
    embedded::{EmbeddedOpenError, EmbeddedSettings},
    redis::{RedisSettings, RedisUrlFault},
};
use crate::{
    factor::{PresentedRecoveryCode, RecoveryCode, totp::TotpParameters},
    policy::lockout::{Attempt, Lockout, Settlement},
    sealing::Fingerprint,
    step_up::{AttemptLedger, EnrolmentStore, Fingerprints, Found, StoreError},
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
            Self::Redis(_) => f.write_str("Redis"),
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

    /// The store of one runtime thread.
    pub fn open(&self) -> Result<Store, StoreOpenError> {
        let keys = KeySource::open(&self.key_file)?;
        let backend = match &self.source {
            Source::Redis(redis, marker) => {
                Backend::Redis(Box::new(RedisStore::new(redis, marker.clone(), self.settings)))
            }
            Source::Embedded(database) => {
                Backend::Embedded(EmbeddedStore::new(database.clone(), self.settings))
            }
        };
        Ok(Store { backend, keys, settings: self.settings })
    }
}

/// Enrolments and attempts, as one runtime thread sees them.
pub struct Store {
    backend: Backend,
    keys: KeySource,
    settings: StoreSettings,
}

enum Backend {
    Redis(Box<RedisStore>),
    Embedded(EmbeddedStore),
}

impl EnrolmentStore for Store {
    async fn find(&self, name: &SubjectId) -> Result<Found, StoreError> {
        let fields = self.fields(name).await?;
        fields::open(&self.keys, name, &fields, &self.settings)
    }
}

impl AttemptLedger for Store {
    async fn settle(
        &self,
        subject: &SubjectId,
        attempt: &Attempt,
        now: UnixTime,
    ) -> Result<Settlement, StoreError> {
        match &self.backend {
            Backend::Redis(store) => store.settle(subject, attempt).await,
            Backend::Embedded(store) => store.settle(subject, attempt, now).await,
        }
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
        let fits = self.keys.with(|ring| recovery_record::fits(ring, subject, code, presented));
        fits.unwrap_or_else(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, %subject, "a recovery code cannot be used");
            false
        })
    }
}
