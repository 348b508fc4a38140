//! Remembered devices, as whoever administers them sees them.

use super::{AdminError, Administration};
use crate::{
    step_up::{AuditTrail, ChangeKind, Clock, DeviceStore, EnrolmentRegistry, StoredDevice},
    types::{FactorId, SubjectId},
};

impl<S, C> Administration<'_, S, C>
where
    S: EnrolmentRegistry + AuditTrail + DeviceStore,
    C: Clock,
{
    /// The devices that are remembered for a subject, those that are over left out, the one used last first.
    pub async fn devices(&self, subject: &SubjectId) -> Result<Vec<StoredDevice>, AdminError> {
        let mut devices = self.store().devices(subject).await?;
        let now = self.now();
        devices.retain(|stored| stored.device.forget_at > now);
        devices.sort_by_key(|stored| std::cmp::Reverse(stored.device.used_at));
        Ok(devices)
    }

    /// Forgets one device, or all. Returns how many there were.
    pub async fn forget_devices(
        &self,
        subject: &SubjectId,
        id: Option<&FactorId>,
    ) -> Result<usize, AdminError> {
        let forgotten = self.store().forget_devices(subject, id).await?;
        if forgotten > 0 {
            self.record(ChangeKind::DeviceForgotten, Some(subject), id.map(FactorId::as_str)).await?;
        }
        Ok(forgotten)
    }
}
