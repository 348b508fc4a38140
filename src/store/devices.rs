//! Remembered devices, in whichever store there is.

use super::{Backend, Store, device_record, fields};
use crate::{
    policy::device::{Accepted, Device, DeviceUsed},
    step_up::{DeviceStore, StoreError, StoredDevice},
    types::{FactorId, SubjectId, UnixTime},
};

impl Store {
    fn open_device(
        &self,
        subject: &SubjectId,
        id: &FactorId,
        raw: &[u8],
    ) -> Result<StoredDevice, StoreError> {
        self.keys.opening(|ring| device_record::open(ring, subject, id, raw.to_vec()))
    }

    async fn put_device(&self, subject: &SubjectId, id: &FactorId, put: Put<'_>) -> Result<bool, StoreError> {
        match &self.backend {
            Backend::Redis(store) => store.put_device(subject, id, &put).await,
            Backend::Embedded(store) => store.put_device(subject, id, &put).await,
        }
    }

    fn seal_device(&self, subject: &SubjectId, id: &FactorId, device: &Device) -> Result<String, StoreError> {
        self.keys.with(|ring| device_record::seal(ring, subject, id, device))
    }
}

/// A device that is written over what was read, or where there was none.
pub(super) struct Put<'a> {
    /// What was read.
    pub(super) read: Option<&'a [u8]>,
    /// What is to be there.
    pub(super) record: String,
    /// The field of the factor that must still be there; `None`: any.
    pub(super) factor: Option<String>,
    /// It lives from now
    pub(super) now: UnixTime,
    /// until then.
    pub(super) forget_at: UnixTime,
    /// Others that are over, and are forgotten with it.
    pub(super) over: Vec<String>,
    /// Others in the order in which they go where `DEVICES_MAX` are there already.
    pub(super) older: Vec<String>,
}

impl DeviceStore for Store {
    async fn device(&self, subject: &SubjectId, id: &FactorId) -> Result<Option<StoredDevice>, StoreError> {
        let raw = match &self.backend {
            Backend::Redis(store) => store.device(subject, id).await?,
            Backend::Embedded(store) => store.device(subject, id).await?,
        };
        raw.map(|raw| self.open_device(subject, id, &raw)).transpose()
    }

    async fn devices(&self, subject: &SubjectId) -> Result<Vec<StoredDevice>, StoreError> {
        let all = match &self.backend {
            Backend::Redis(store) => store.devices(subject).await?.into_iter().collect(),
            Backend::Embedded(store) => store.devices(subject).await?,
        };
        let opened = all.iter().filter_map(|(id, raw)| {
            let device = fields::parse_id(id).and_then(|id| self.open_device(subject, &id, raw));
            // It stands for nothing, and must not keep the others from being shown and forgotten.
            device
                .inspect_err(|error| {
                    tracing::error!(error = error as &dyn std::error::Error, %subject, id, "a device is left out");
                })
                .ok()
        });
        Ok(opened.collect())
    }

    async fn add_device(
        &self,
        subject: &SubjectId,
        id: &FactorId,
        device: &Device,
        factor: Option<&FactorId>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let mut others = self.devices(subject).await?;
        others.sort_by_key(|other| other.device.used_at);
        let (over, older): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|other| other.device.forget_at <= now);
        let names = |devices: Vec<StoredDevice>| devices.iter().map(|other| other.id.to_string()).collect();
        let put = Put {
            read: None,
            record: self.seal_device(subject, id, device)?,
            factor: factor.map(fields::factor),
            forget_at: device.forget_at,
            now,
            over: names(over),
            older: names(older),
        };
        self.put_device(subject, id, put).await
    }

    async fn replace_device(
        &self,
        subject: &SubjectId,
        read: &StoredDevice,
        next: &Accepted,
        now: UnixTime,
    ) -> Result<Option<DeviceUsed>, StoreError> {
        let device = next.device();
        let put = Put {
            read: Some(&read.raw),
            record: self.seal_device(subject, &read.id, device)?,
            factor: None,
            now,
            forget_at: device.forget_at,
            over: Vec::new(),
            older: Vec::new(),
        };
        let is_done = self.put_device(subject, &read.id, put).await?;
        Ok(is_done.then(|| DeviceUsed::replaced_by(&read.id, next)))
    }

    async fn forget_devices(&self, subject: &SubjectId, id: Option<&FactorId>) -> Result<usize, StoreError> {
        match &self.backend {
            Backend::Redis(store) => store.forget_devices(subject, id).await,
            Backend::Embedded(store) => store.forget_devices(subject, id).await,
        }
    }
}
