//! Administration of enrolments: read, edit, and write if nobody else has meanwhile.

use super::{
    Backend, Store,
    edit::{Change, Edit, Editor},
    fields::{self, Fields},
    moving,
    record::random_factor_id,
};
use crate::{
    factor::{Factor, Matched, PresentedRecoveryCode},
    identity::fold_username,
    policy::lockout::Ledger,
    step_up::{
        Beside, Departing, EditDenial, EnrolmentRegistry, ListPage, ListQuery, NewFactor, StoreError,
        SubjectStatus, TakenOver, Takeover,
    },
    types::{FactorId, SubjectId, UnixTime},
};

/// How often an edit is tried when others edit the same subject.
const TRIES: usize = 16;

impl Store {
    pub(super) async fn fields(&self, name: &SubjectId) -> Result<Fields, StoreError> {
        match &self.backend {
            Backend::Redis(store) => store.fields(name).await,
            Backend::Embedded(store) => store.fields(name).await,
        }
    }

    async fn apply(&self, subject: &SubjectId, change: Change) -> Result<bool, StoreError> {
        match &self.backend {
            Backend::Redis(store) => store.apply(subject, &change).await,
            Backend::Embedded(store) => store.apply(subject, change).await,
        }
    }

    async fn edit<T>(
        &self,
        subject: &SubjectId,
        work: impl Fn(Editor<'_>) -> Edit<T>,
    ) -> Result<T, StoreError> {
        for _ in 0..TRIES {
            let fields = self.fields(subject).await?;
            let (change, answer) = self.edited(subject, &fields, &work)?;
            if change.is_nothing() || self.apply(subject, change).await? {
                return Ok(answer);
            }
        }
        Err(EditDenial::Contended.into())
    }

    /// One edit, with keys that were added since the key file was read, too.
    fn edited<T>(
        &self,
        subject: &SubjectId,
        fields: &Fields,
        work: impl Fn(Editor<'_>) -> Edit<T>,
    ) -> Edit<T> {
        self.keys.opening(|ring| work(Editor { ring, subject, fields }))
    }

    async fn both_ledgers(&self, subject: &SubjectId) -> Result<(Ledger, Ledger), StoreError> {
        match &self.backend {
            Backend::Redis(store) => store.ledgers(subject).await,
            Backend::Embedded(store) => store.ledgers(subject).await,
        }
    }
}

#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the methods of `Editor` are not general over its lifetime, as the closures are"
)]
impl EnrolmentRegistry for Store {
    async fn enrol(&self, subject: &SubjectId, factor: NewFactor) -> Result<(FactorId, usize), StoreError> {
        self.edit(subject, |editor| editor.enrol(&factor)).await
    }

    async fn propose(&self, subject: &SubjectId, factor: NewFactor) -> Result<FactorId, StoreError> {
        self.edit(subject, |editor| editor.propose(&factor)).await
    }

    async fn pending(&self, subject: &SubjectId, id: &FactorId, now: UnixTime) -> Result<Factor, StoreError> {
        let fields = self.fields(subject).await?;
        self.keys.opening(|ring| Editor { ring, subject, fields: &fields }.pending(id, now))
    }

    async fn confirm(
        &self,
        subject: &SubjectId,
        confirmed: &Matched,
        beside: Beside,
        now: UnixTime,
    ) -> Result<usize, StoreError> {
        self.edit(subject, |editor| editor.confirm(confirmed, beside, now)).await
    }

    async fn remove_factor(&self, subject: &SubjectId, id: &FactorId) -> Result<usize, StoreError> {
        self.edit(subject, |editor| editor.remove(id)).await
    }

    async fn rename_factor(
        &self,
        subject: &SubjectId,
        id: &FactorId,
        label: Option<String>,
    ) -> Result<(), StoreError> {
        self.edit(subject, |editor| editor.rename(id, label.clone())).await
    }

    async fn replace_recovery_codes(
        &self,
        subject: &SubjectId,
        codes: &[PresentedRecoveryCode],
    ) -> Result<(), StoreError> {
        let set = random_factor_id()?;
        self.edit(subject, |editor| editor.replace_recovery_codes(&set, codes)).await
    }

    async fn disable(&self, subject: &SubjectId) -> Result<usize, StoreError> {
        self.edit(subject, |editor| editor.disable()).await
    }

    async fn add_alias(&self, alias: &SubjectId, subject: &SubjectId) -> Result<(), StoreError> {
        self.edit(alias, |editor| editor.add_alias(subject)).await
    }

    async fn remove_alias(&self, alias: &SubjectId) -> Result<bool, StoreError> {
        self.edit(alias, |editor| Ok(editor.remove_alias())).await
    }

    async fn unlock(&self, subject: &SubjectId) -> Result<bool, StoreError> {
        match &self.backend {
            Backend::Redis(store) => store.unlock(subject).await,
            Backend::Embedded(store) => store.unlock(subject).await,
        }
    }

    async fn status(&self, subject: &SubjectId) -> Result<SubjectStatus, StoreError> {
        let fields = self.fields(subject).await?;
        let (ledger, recovery_ledger) = self.both_ledgers(subject).await?;
        Ok(SubjectStatus {
            alias_of: fields::alias_of(&fields)?,
            factors: fields::describe(&self.keys, subject, &fields, &self.settings),
            recovery_codes: fields::recovery_codes(&fields),
            ledger,
            recovery_ledger,
        })
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        let containing = query.containing.as_deref().filter(|text| !text.trim().is_empty());
        let containing = containing.map(fold_username).transpose().map_err(|_| EditDenial::BadSearch)?;
        let query =
            ListQuery { containing: containing.map(|text| text.as_str().to_owned()), ..query.clone() };
        match &self.backend {
            Backend::Redis(store) => store.list(&query).await,
            Backend::Embedded(store) => store.list(&query).await,
        }
    }

    async fn reseal(&self, subject: &SubjectId) -> Result<usize, StoreError> {
        self.edit(subject, |editor| editor.reseal()).await
    }

    async fn import(&self, subject: &SubjectId, takeover: &Takeover) -> Result<TakenOver, StoreError> {
        self.edit(subject, |editor| editor.import(takeover)).await
    }

    async fn would_import(&self, subject: &SubjectId, takeover: &Takeover) -> Result<TakenOver, StoreError> {
        let fields = self.fields(subject).await?;
        let (_, answer) = self.edited(subject, &fields, |editor| editor.import(takeover))?;
        Ok(answer)
    }

    async fn export(&self, name: &SubjectId) -> Result<Departing, StoreError> {
        let fields = self.fields(name).await?;
        let (ledger, _) = self.both_ledgers(name).await?;
        moving::departing(&self.keys, name, &fields, &ledger, &self.settings)
    }
}
