//! Remembered devices, in whichever store there is.

use super::{Backend, Store, device_record, fields};
use crate::{
    policy::device::{Accepted, Device, DeviceUsed},
    step_up::{DeviceStore, StoreError, StoredDevice},
    types::{FactorId, SubjectId, UnixTime, limits::DEVICES_MAX},
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

    /// Writes a device over what was read, or where there was none.
    async fn put_device(
        &self,
        subject: &SubjectId,
        id: &FactorId,
        read: Option<&[u8]>,
        device: &Device,
        factor: Option<&FactorId>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let factor = factor.map(fields::factor);
        let record = self.keys.with(|ring| device_record::seal(ring, subject, id, device))?;
        let for_secs = now.secs_until(device.forget_at);
        match &self.backend {
            Backend::Redis(store) => {
                store.put_device(subject, id, read, &record, factor.as_deref(), for_secs).await
            }
            Backend::Embedded(store) => {
                store.put_device(subject, id, read, record, factor, now..device.forget_at).await
            }
        }
    }
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
        let over = others.iter().filter(|other| other.device.forget_at <= now);
        let too_many = (others.len() + 1).saturating_sub(DEVICES_MAX);
        for gone in over.chain(others.iter().take(too_many)) {
            self.forget_devices(subject, Some(&gone.id)).await?;
        }
        self.put_device(subject, id, None, device, factor, now).await
    }

    async fn replace_device(
        &self,
        subject: &SubjectId,
        read: &StoredDevice,
        next: &Accepted,
        now: UnixTime,
    ) -> Result<Option<DeviceUsed>, StoreError> {
        let is_done = self.put_device(subject, &read.id, Some(&read.raw), next.device(), None, now).await?;
        Ok(is_done.then(|| DeviceUsed::replaced_by(&read.id, next)))
    }

    async fn forget_devices(&self, subject: &SubjectId, id: Option<&FactorId>) -> Result<usize, StoreError> {
        match &self.backend {
            Backend::Redis(store) => store.forget_devices(subject, id).await,
            Backend::Embedded(store) => store.forget_devices(subject, id).await,
        }
    }
}
