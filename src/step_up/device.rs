//! Remembered devices: where they are kept, and how one stands for a code.

use std::future::Future;

use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};

use super::{Audit, AuditEvent, Clock, Flow, StoreError};
use crate::{
    policy::{
        FactorVerified, Means,
        device::{Accepted, Device, DeviceDigest, DeviceUsed, DeviceVerdict},
    },
    types::{FactorId, Secret, SubjectId, UnixTime},
};

/// In a request, a device's token in the place of a code; in an answer, the token for the next time.
pub const X_TFA_DEVICE: HeaderName = HeaderName::from_static("x-tfa-device");
/// `1` in a request with a code asks for the device to be remembered.
pub const X_TFA_REMEMBER: HeaderName = HeaderName::from_static("x-tfa-remember");

/// What the client is to be given so that it need not ask for a code next time.
#[derive(Debug, Clone)]
pub struct DeviceToken(Secret<String>);

impl DeviceToken {
    /// `<id>.<secret>`. Never to be logged.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The header in which a client is given it.
    pub(super) fn write_to(&self, headers: &mut HeaderMap) {
        if let Ok(mut value) = HeaderValue::from_str(self.expose()) {
            value.set_sensitive(true);
            headers.insert(X_TFA_DEVICE, value);
        }
    }

    fn new(id: &FactorId, secret: &Secret<String>) -> Self {
        Self(Secret::new(format!("{id}.{}", secret.expose())))
    }
}

/// A token that was presented.
#[derive(Debug, Clone)]
pub struct PresentedDevice {
    id: FactorId,
    digest: DeviceDigest,
}

impl PresentedDevice {
    /// Reads `<id>.<secret>`; `None` if it is none.
    pub fn parse(token: &[u8]) -> Option<Self> {
        let (id, secret) = std::str::from_utf8(token).ok()?.split_once('.')?;
        Some(Self { id: FactorId::parse(id).ok()?, digest: digest(secret) })
    }
}

/// What a request has to say of devices.
#[derive(Debug, Clone, Default)]
pub struct DeviceRequest {
    /// A token from before.
    pub presented: Option<PresentedDevice>,
    /// Whether one is asked for, after a correct code.
    pub is_wanted: bool,
    /// What the client calls itself.
    pub label: Option<String>,
}

/// A device as it was read, with what it must still be when it is replaced.
#[derive(Debug, Clone)]
pub struct StoredDevice {
    /// Its name.
    pub id: FactorId,
    /// What is remembered.
    pub device: Device,
    /// As it lies in the store.
    pub raw: Vec<u8>,
}

/// Where devices are remembered.
pub trait DeviceStore {
    /// The device of that name, if there is one.
    fn device(
        &self,
        subject: &SubjectId,
        id: &FactorId,
    ) -> impl Future<Output = Result<Option<StoredDevice>, StoreError>>;
    /// All that a subject has.
    fn devices(&self, subject: &SubjectId) -> impl Future<Output = Result<Vec<StoredDevice>, StoreError>>;
    /// Remembers a new device, unless the factor that it is remembered for is gone by then; the one that was used least
    /// lately goes when there are more than `DEVICES_MAX`. Answers whether it is remembered.
    fn add_device(
        &self,
        subject: &SubjectId,
        id: &FactorId,
        device: &Device,
        factor: Option<&FactorId>,
        now: UnixTime,
    ) -> impl Future<Output = Result<bool, StoreError>>;
    /// Puts what follows in the place of what was read, if that is still there; then its secret is used up.
    fn replace_device(
        &self,
        subject: &SubjectId,
        read: &StoredDevice,
        next: &Accepted,
        now: UnixTime,
    ) -> impl Future<Output = Result<Option<DeviceUsed>, StoreError>>;
    /// Forgets one device, or all. Returns how many there were.
    fn forget_devices(
        &self,
        subject: &SubjectId,
        id: Option<&FactorId>,
    ) -> impl Future<Output = Result<usize, StoreError>>;
}

impl<S, U, C, A, O> Flow<'_, S, U, C, A, O>
where
    S: DeviceStore,
    C: Clock,
    A: Audit,
{
    /// Whether a device stands for the code; if so, with the token for the next time.
    pub(super) async fn use_device(
        &self,
        subject: &SubjectId,
        presented: &PresentedDevice,
        client_id: Option<&str>,
    ) -> Result<Option<(FactorVerified, DeviceToken)>, StoreError> {
        if self.remember_devices_secs.is_none() {
            return Ok(None);
        }
        let Some(read) = self.store.device(subject, &presented.id).await? else { return Ok(None) };
        let (secret, now) = (random_secret()?, self.clock.now());
        match read.device.judge(&presented.digest, client_id, digest(secret.expose()), now) {
            DeviceVerdict::Accept(next) => {
                let used = self.store.replace_device(subject, &read, &next, now).await?;
                Ok(used.map(|used| (FactorVerified::by_device(used), DeviceToken::new(&read.id, &secret))))
            }
            DeviceVerdict::Stolen => {
                self.audit.record(&AuditEvent::DeviceReused { subject, device: &read.id });
                self.store.forget_devices(subject, Some(&read.id)).await?;
                Ok(None)
            }
            DeviceVerdict::Ignore => Ok(None),
        }
    }

    /// Remembers the client after a correct code. A store that does not take it costs a code next time, and nothing
    /// now.
    pub(super) async fn remember_device(
        &self,
        subject: &SubjectId,
        request: &DeviceRequest,
        client_id: Option<&str>,
        proof: &FactorVerified,
    ) -> Option<DeviceToken> {
        let for_secs = self.remember_devices_secs.filter(|_| request.is_wanted)?;
        let client_id = client_id?.to_owned();
        let now = self.clock.now();
        let made = async {
            let (secret, id) = (random_secret()?, random_id()?);
            let device = Device {
                client_id,
                label: request.label.clone(),
                digest: digest(secret.expose()),
                previous: None,
                created_at: now,
                used_at: now,
                forget_at: now.plus(std::time::Duration::from_secs(for_secs)),
            };
            // A recovery code is spent by now, so that it cannot be there still.
            let factor = (proof.means() == Means::Passcode).then(|| proof.id());
            let is_kept = self.store.add_device(subject, &id, &device, factor, now).await?;
            Ok::<_, StoreError>(is_kept.then(|| DeviceToken::new(&id, &secret)))
        };
        made.await.unwrap_or_else(|error| {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "a device could not be remembered: a code will be asked for again");
            None
        })
    }
}

fn digest(secret: &str) -> DeviceDigest {
    Sha256::digest(secret.as_bytes()).into()
}

fn random_secret() -> Result<Secret<String>, StoreError> {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(|error| StoreError::Failed(error.into()))?;
    Ok(Secret::new(data_encoding::BASE64URL_NOPAD.encode(&*bytes)))
}

fn random_id() -> Result<FactorId, StoreError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Failed(error.into()))?;
    FactorId::parse(&data_encoding::HEXLOWER.encode(&bytes)).map_err(|error| StoreError::Failed(error.into()))
}
