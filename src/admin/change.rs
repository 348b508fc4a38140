//! Changes of enrolments, each recorded.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    Enrolled, ListedName, NamePage, NewEnrolment, RecoveryCodes, StatusReport,
    enrol::{self, checked_label},
};
use crate::{
    factor::Passcode,
    sealing::KeyId,
    step_up::{
        Actor, AuditTrail, Beside, ChangeKind, Clock, EditDenial, EnrolmentRegistry, ListQuery, StoreError,
        TrailEvent, TrailPage, TrailQuery,
    },
    types::{FactorId, SubjectId, UnixTime},
};

/// Subjects that are looked up at once for the aliases of a page.
const OWNERS_AT_ONCE: usize = 64;

/// Why something was not done, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was done, but there is no record of it.
    #[error("the change was made, but it could not be recorded in the audit trail")]
    NotRecorded(#[source] StoreError),
    /// The passcode does not fit the factor that it should confirm. Nothing was changed.
    #[error("the code does not fit; check the clock of the phone, and take the code that is shown now")]
    WrongPasscode,
    /// Whoever logs in by the alias would need no code. Nothing was changed.
    #[error(
        "{subject} has no factor, so that the password alone is enough for whoever logs in by that name; if it is no \
         mistype and that is meant, say --not-enrolled (to the API: \"not_enrolled\": true)"
    )]
    NotEnrolled {
        /// Whom it would lead to.
        subject: SubjectId,
    },
    /// What is written for somebody to take along. It is not whole.
    #[error("the file cannot be written")]
    File(#[source] std::io::Error),
}

/// Whom an alias may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeadsTo {
    /// A subject with a factor that counts: to any other, a mistyped one say, the password would be enough.
    Enrolled,
    /// Anybody.
    Anybody,
}

impl From<EditDenial> for AdminError {
    fn from(denial: EditDenial) -> Self {
        Self::Store(denial.into())
    }
}

/// What a reset removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reset {
    /// Factors that counted.
    pub factors_removed: usize,
    /// Factors that waited for their confirmation.
    pub pending_factors_removed: usize,
    /// Unused recovery codes.
    pub recovery_codes_removed: usize,
    /// Whether there were failures or a lock.
    pub unlocked: bool,
}

impl Reset {
    /// The documented JSON.
    pub fn to_json(self, subject: &SubjectId) -> serde_json::Value {
        serde_json::json!({
            "subject": subject.as_str(),
            "factors_removed": self.factors_removed,
            "pending_factors_removed": self.pending_factors_removed,
            "recovery_codes_removed": self.recovery_codes_removed,
            "unlocked": self.unlocked,
        })
    }
}

/// Administration on somebody's behalf.
#[derive(Debug)]
pub struct Administration<'a, S, C> {
    store: &'a S,
    clock: &'a C,
    actor: Actor,
}

impl<'a, S, C> Administration<'a, S, C>
where
    S: EnrolmentRegistry + AuditTrail,
    C: Clock,
{
    /// Whatever is changed through it is recorded as the actor's.
    pub const fn new(store: &'a S, clock: &'a C, actor: Actor) -> Self {
        Self { store, clock, actor }
    }

    /// Adds a factor that counts at once.
    pub async fn enrol(&self, subject: &SubjectId, new: NewEnrolment) -> Result<Enrolled, AdminError> {
        let (new, shown) = enrol::prepare(new, self.clock.now())?;
        let (factor_id, factors) = self.store.enrol(subject, new).await?;
        let is_recorded = self.is_recorded(ChangeKind::Enrolled, subject, Some(&factor_id)).await;
        Ok(shown.of(factor_id, Some(factors), is_recorded))
    }

    /// Adds a factor that does not count before it is confirmed.
    pub async fn propose(&self, subject: &SubjectId, new: NewEnrolment) -> Result<Enrolled, AdminError> {
        let (new, shown) = enrol::prepare(new, self.clock.now())?;
        let factor_id = self.store.propose(subject, new).await?;
        // It counts for nothing yet; and whoever knows a password could push everything else out of the trail.
        let is_recorded =
            self.actor.is_own() || self.is_recorded(ChangeKind::Proposed, subject, Some(&factor_id)).await;
        Ok(shown.of(factor_id, None, is_recorded))
    }

    /// Makes a factor count, if the passcode is its. Returns how many there are now.
    pub async fn confirm(
        &self,
        subject: &SubjectId,
        factor: &FactorId,
        passcode: &Passcode,
        beside: Beside,
    ) -> Result<usize, AdminError> {
        let now = self.clock.now();
        let waiting = self.store.pending(subject, factor, now).await?;
        let matched = waiting.matched(passcode, now).ok_or(AdminError::WrongPasscode)?;
        let factors = self.store.confirm(subject, &matched, beside, now).await?;
        self.record(ChangeKind::Confirmed, Some(subject), Some(factor.as_str())).await?;
        Ok(factors)
    }

    /// The factor that waits for its confirmation, as it was shown when it was made.
    pub async fn pending(
        &self,
        subject: &SubjectId,
        factor: &FactorId,
        issuer: &str,
    ) -> Result<Enrolled, AdminError> {
        let waiting = self.store.pending(subject, factor, self.clock.now()).await?;
        Ok(enrol::shown_again(waiting, issuer, subject.as_str()))
    }

    /// Removes one factor. Returns how many are left.
    pub async fn remove_factor(&self, subject: &SubjectId, factor: &FactorId) -> Result<usize, AdminError> {
        let left = self.store.remove_factor(subject, factor).await?;
        self.record(ChangeKind::Removed, Some(subject), Some(factor.as_str())).await?;
        Ok(left)
    }

    /// Gives a factor another name. Returns the name as it is kept.
    pub async fn rename_factor(
        &self,
        subject: &SubjectId,
        factor: &FactorId,
        label: Option<String>,
    ) -> Result<Option<String>, AdminError> {
        let label = checked_label(label)?;
        self.store.rename_factor(subject, factor, label.clone()).await?;
        self.record(ChangeKind::Renamed, Some(subject), Some(factor.as_str())).await?;
        Ok(label)
    }

    /// Makes new recovery codes in the place of the old ones.
    pub async fn new_recovery_codes(&self, subject: &SubjectId) -> Result<RecoveryCodes, AdminError> {
        let codes = RecoveryCodes::random()?;
        self.store.replace_recovery_codes(subject, &codes.presented()).await?;
        let is_recorded = self.is_recorded(ChangeKind::RecoveryCodesReplaced, subject, None).await;
        Ok(RecoveryCodes { is_recorded, ..codes })
    }

    /// Removes all factors. Returns how many there were.
    pub async fn disable(&self, subject: &SubjectId) -> Result<usize, AdminError> {
        let removed = self.store.disable(subject).await?;
        self.record(ChangeKind::Disabled, Some(subject), None).await?;
        Ok(removed)
    }

    /// Forgets failures and lifts locks. Returns whether there was anything to forget.
    pub async fn unlock(&self, subject: &SubjectId) -> Result<bool, AdminError> {
        let unlocked = self.store.unlock(subject).await?;
        self.record(ChangeKind::Unlocked, Some(subject), None).await?;
        Ok(unlocked)
    }

    /// Takes a subject back to the password alone, as if it had never enrolled. What was removed is counted just
    /// before, so that what another one adds or removes meanwhile may not be in the count.
    pub async fn reset(&self, subject: &SubjectId) -> Result<Reset, AdminError> {
        let before = self.store.status(subject).await?;
        if before.alias_of.is_some() {
            return Err(EditDenial::ResetOfAlias.into());
        }
        // Locks first: to remove the factors forgets them as well, and would not say so.
        let unlocked = self.unlock(subject).await?;
        let factors_removed = self.disable(subject).await?;
        let pending_factors_removed = before.factors.iter().filter(|factor| factor.is_pending).count();
        Ok(Reset {
            factors_removed,
            pending_factors_removed,
            recovery_codes_removed: before.recovery_codes,
            unlocked,
        })
    }

    /// Makes a name, such as an e-mail address, another name of a subject. An alias leads to a subject, never to itself
    /// or to another alias.
    pub async fn add_alias(
        &self,
        alias: &SubjectId,
        subject: &SubjectId,
        leads_to: LeadsTo,
    ) -> Result<(), AdminError> {
        self.alias(alias, subject, leads_to, ChangeKind::AliasAdded).await
    }

    /// The same from another system, where it led to anybody.
    pub(super) async fn import_alias_of(
        &self,
        alias: &SubjectId,
        subject: &SubjectId,
    ) -> Result<(), AdminError> {
        self.alias(alias, subject, LeadsTo::Anybody, ChangeKind::Imported).await
    }

    async fn alias(
        &self,
        alias: &SubjectId,
        subject: &SubjectId,
        leads_to: LeadsTo,
        change: ChangeKind,
    ) -> Result<(), AdminError> {
        if alias == subject {
            return Err(EditDenial::SameSubject.into());
        }
        let status = self.store.status(subject).await?;
        if status.alias_of.is_some() {
            return Err(EditDenial::AliasOfAlias.into());
        }
        if leads_to == LeadsTo::Enrolled && !status.is_enrolled() {
            return Err(AdminError::NotEnrolled { subject: subject.clone() });
        }
        self.store.add_alias(alias, subject).await?;
        self.record(change, Some(subject), Some(alias.as_str())).await
    }

    /// Forgets an alias. Returns whether there was one.
    pub async fn remove_alias(&self, alias: &SubjectId) -> Result<bool, AdminError> {
        let removed = self.store.remove_alias(alias).await?;
        if removed {
            self.record(ChangeKind::AliasRemoved, Some(alias), Some(alias.as_str())).await?;
        }
        Ok(removed)
    }

    /// What is known of a subject.
    pub async fn status(&self, subject: &SubjectId) -> Result<StatusReport, AdminError> {
        let status = self.store.status(subject).await?;
        let is_enrolled = match &status.alias_of {
            Some(owner) => self.store.status(owner).await?.is_enrolled(),
            None => status.is_enrolled(),
        };
        Ok(StatusReport::new(subject.clone(), status, is_enrolled, self.clock.now()))
    }

    /// One page of the names that are known.
    pub async fn list(&self, query: &ListQuery) -> Result<NamePage, AdminError> {
        let page = self.store.list(query).await?;
        let listed = page.names.into_iter().map(async |summary| {
            let is_enrolled = match &summary.alias_of {
                Some(owner) => self.counts(owner).await?,
                None => summary.factors > 0,
            };
            Ok::<_, AdminError>(ListedName { summary, is_enrolled })
        });
        let names = stream::iter(listed).buffered(OWNERS_AT_ONCE).try_collect().await?;
        Ok(NamePage { names, next: page.next })
    }

    /// Whether a factor of a subject counts. Of one whose records cannot be read, no token is released either.
    async fn counts(&self, subject: &SubjectId) -> Result<bool, AdminError> {
        match self.store.status(subject).await {
            Ok(status) => Ok(status.is_enrolled()),
            Err(StoreError::Malformed { .. } | StoreError::Sealed { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// What was changed, the latest first.
    pub async fn trail(&self, query: &TrailQuery) -> Result<TrailPage, AdminError> {
        Ok(self.store.trail(query).await?)
    }

    /// Records that records were sealed anew with a key.
    pub async fn record_resealing(&self, key: &KeyId) -> Result<(), AdminError> {
        self.record(ChangeKind::Resealed, None, Some(key.as_str())).await
    }

    /// Seals a subject's records with the current key. Returns how many were sealed with another. Not recorded
    /// for each: nothing changes for anybody.
    pub async fn reseal(&self, subject: &SubjectId) -> Result<usize, AdminError> {
        Ok(self.store.reseal(subject).await?)
    }

    pub(super) const fn store(&self) -> &S {
        self.store
    }

    pub(super) fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Records what made a secret, and says whether that went well: a secret that counts by now, and exists nowhere
    /// else, is not lost for that.
    async fn is_recorded(&self, change: ChangeKind, subject: &SubjectId, object: Option<&FactorId>) -> bool {
        let recorded = self.record(change, Some(subject), object.map(FactorId::as_str)).await;
        if let Err(error) = &recorded {
            let error: &dyn std::error::Error = error;
            tracing::error!(error, actor = %self.actor, change = change.as_str(), %subject, "not in the audit trail");
        }
        recorded.is_ok()
    }

    pub(super) async fn record(
        &self,
        change: ChangeKind,
        subject: Option<&SubjectId>,
        object: Option<&str>,
    ) -> Result<(), AdminError> {
        let (actor, object) = (self.actor.clone(), object.map(str::to_owned));
        let event = TrailEvent { at: self.clock.now(), actor, change, subject: subject.cloned(), object };
        self.store.append(&event).await.map_err(AdminError::NotRecorded)
    }
}
