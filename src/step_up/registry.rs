//! How enrolments are administered: the port that every way to change them uses.

use std::future::Future;

use super::{Departing, StoreError, TakenOver, Takeover};
use crate::{
    factor::{
        Factor, Matched, PresentedRecoveryCode,
        totp::{Totp, TotpParameters},
    },
    policy::lockout::Ledger,
    types::{FactorId, SubjectId, UnixTime},
};

/// A factor that is to be enrolled.
#[derive(Debug)]
pub struct NewFactor {
    /// Its name; `None` makes one.
    pub id: Option<FactorId>,
    /// What the person calls it.
    pub label: Option<String>,
    /// When.
    pub enrolled_at: UnixTime,
    /// Secret and parameters.
    pub totp: Totp,
}

/// Beside which factors a new one may begin to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// Any.
    Any,
    /// None: it is the first. For somebody who has shown nothing but a password.
    None,
}

/// Where enrolments are administered. Each change is atomic, and none undoes what another one did meanwhile.
pub trait EnrolmentRegistry {
    /// Adds a factor that counts at once. Refuses more than `FACTORS_MAX`. Returns its id and how many there are now.
    fn enrol(
        &self,
        subject: &SubjectId,
        factor: NewFactor,
    ) -> impl Future<Output = Result<(FactorId, usize), StoreError>>;
    /// Adds a factor that does not count before it is confirmed. Returns its id.
    fn propose(
        &self,
        subject: &SubjectId,
        factor: NewFactor,
    ) -> impl Future<Output = Result<FactorId, StoreError>>;
    /// The factor that waits under an id; refused when it has waited for longer than `PENDING_SECS_MAX`.
    fn pending(
        &self,
        subject: &SubjectId,
        id: &FactorId,
        now: UnixTime,
    ) -> impl Future<Output = Result<Factor, StoreError>>;
    /// Makes a factor count, and spends the step that confirmed it. Returns how many there are now.
    fn confirm(
        &self,
        subject: &SubjectId,
        confirmed: &Matched,
        beside: Beside,
        now: UnixTime,
    ) -> impl Future<Output = Result<usize, StoreError>>;
    /// Removes one factor; with the last one, recovery codes and failures go, too. Returns how many are left.
    fn remove_factor(
        &self,
        subject: &SubjectId,
        id: &FactorId,
    ) -> impl Future<Output = Result<usize, StoreError>>;
    /// Gives a factor another name.
    fn rename_factor(
        &self,
        subject: &SubjectId,
        id: &FactorId,
        label: Option<String>,
    ) -> impl Future<Output = Result<(), StoreError>>;
    /// Puts these recovery codes in the place of those that there are. Refuses a subject without a factor.
    fn replace_recovery_codes(
        &self,
        subject: &SubjectId,
        codes: &[PresentedRecoveryCode],
    ) -> impl Future<Output = Result<(), StoreError>>;
    /// Removes all factors, recovery codes and failures. Returns how many factors there were.
    fn disable(&self, subject: &SubjectId) -> impl Future<Output = Result<usize, StoreError>>;
    /// Makes a name another name of a subject. Refuses a name that is enrolled itself.
    fn add_alias(
        &self,
        alias: &SubjectId,
        subject: &SubjectId,
    ) -> impl Future<Output = Result<(), StoreError>>;
    /// Forgets an alias. Returns whether there was one.
    fn remove_alias(&self, alias: &SubjectId) -> impl Future<Output = Result<bool, StoreError>>;
    /// Forgets failures and locks. Returns whether there was anything to forget.
    fn unlock(&self, subject: &SubjectId) -> impl Future<Output = Result<bool, StoreError>>;
    /// What is known of a subject.
    fn status(&self, subject: &SubjectId) -> impl Future<Output = Result<SubjectStatus, StoreError>>;
    /// One page of the names that the store knows, aliases included. A name may come twice while others change.
    fn list(&self, query: &ListQuery) -> impl Future<Output = Result<ListPage, StoreError>>;
    /// Seals a subject's records with the current key. Returns how many were sealed with another.
    fn reseal(&self, subject: &SubjectId) -> impl Future<Output = Result<usize, StoreError>>;
    /// Takes a factor over from another system, with its recovery codes and its last used step.
    fn import(
        &self,
        subject: &SubjectId,
        takeover: &Takeover,
    ) -> impl Future<Output = Result<TakenOver, StoreError>>;
    /// What [`EnrolmentRegistry::import`] would answer now. Nothing is changed.
    fn would_import(
        &self,
        subject: &SubjectId,
        takeover: &Takeover,
    ) -> impl Future<Output = Result<TakenOver, StoreError>>;
    /// All that another gateway needs to know of a name. It holds secrets.
    fn export(&self, name: &SubjectId) -> impl Future<Output = Result<Departing, StoreError>>;
}

/// Which names are listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListQuery {
    /// Only names that hold this text; it is folded as names are.
    pub containing: Option<String>,
    /// Where the page before ended; `None` for the first page.
    pub cursor: Option<ListCursor>,
    /// About how many names a page has.
    pub limit: usize,
}

/// Where a page ended: a text that means something to the store that gave it alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListCursor(pub String);

/// Some of the names that a store knows.
#[derive(Debug, Clone, Default)]
pub struct ListPage {
    /// What is known of each without opening anything.
    pub names: Vec<NameSummary>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<ListCursor>,
}

/// What is known of a name without opening anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameSummary {
    /// The name.
    pub name: SubjectId,
    /// Whose other name it is, if it is one.
    pub alias_of: Option<SubjectId>,
    /// Factors that count.
    pub factors: usize,
    /// Factors that wait for their confirmation.
    pub pending: usize,
    /// Unused recovery codes.
    pub recovery_codes: usize,
}

/// What is known of a subject, for whoever administers it. It holds no secret.
#[derive(Debug, Clone)]
pub struct SubjectStatus {
    /// Whose other name it is, if it is one.
    pub alias_of: Option<SubjectId>,
    /// Its factors, broken and waiting ones included.
    pub factors: Vec<FactorStatus>,
    /// Unused recovery codes.
    pub recovery_codes: usize,
    /// Its attempts with passcodes.
    pub ledger: Ledger,
    /// Its attempts with recovery codes.
    pub recovery_ledger: Ledger,
}

impl SubjectStatus {
    /// Whether a factor counts.
    pub fn is_enrolled(&self) -> bool {
        self.factors.iter().any(|factor| !factor.is_pending)
    }
}

/// What is known of a factor.
#[derive(Debug, Clone)]
pub struct FactorStatus {
    /// Its id, as it is stored.
    pub id: String,
    /// Whether it waits for its confirmation, and does not count before.
    pub is_pending: bool,
    /// What the person calls it.
    pub label: Option<String>,
    /// Its parameters, if its record can be read.
    pub parameters: Option<TotpParameters>,
    /// When it was enrolled or proposed, if that is known.
    pub enrolled_at: Option<UnixTime>,
    /// The key that it is sealed with; none if it is plain.
    pub key_id: Option<String>,
    /// Why it cannot be used, if it cannot.
    pub problem: Option<String>,
}

impl FactorStatus {
    /// One of which nothing but the id is known.
    pub fn named(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            is_pending: false,
            label: None,
            parameters: None,
            enrolled_at: None,
            key_id: None,
            problem: None,
        }
    }
}
