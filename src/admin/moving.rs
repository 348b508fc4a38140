//! Moving in and out: many factors at once.
//!
//! Invariants: each row is one atomic change and one record, so that what is done stays done whenever the work stops,
//! and a further run does the rest; what is there already is left alone; a bounded number of rows is on its way to the
//! store at once, and of one name never two: a row sees what those before it did.

use std::{cell::RefCell, collections::BTreeMap, fmt::Write as _, rc::Rc};

use futures_util::{Stream, StreamExt as _, pin_mut};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use super::{
    AdminError, Administration,
    enrol::checked_label,
    import::{Entry, IncomingFactor, Row},
};
use crate::{
    factor::totp::{Totp, TotpFault},
    identity::{UsernameFault, fold_username},
    step_up::{
        AuditTrail, ChangeKind, Clock, EditDenial, EnrolmentRegistry, NewFactor, StoreError, TakenOver,
        Takeover,
    },
    types::{
        FactorId, SubjectId,
        limits::{IMPORTS_AT_ONCE, TOTP_SECRET_BYTES_MIN},
    },
};

/// How many rows ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportSummary {
    /// Rows that were imported, or would be.
    pub imported: u64,
    /// Rows that were imported before.
    pub already_there: u64,
    /// Rows that cannot be imported.
    pub bad: u64,
    /// Of those that were imported, or would be: secrets shorter than the 128 bits of RFC 4226 section 4 R6.
    pub short_secrets: u64,
}

/// How one row ended.
#[derive(Debug)]
pub enum RowOutcome {
    /// It was imported, or would be.
    Imported(DoneRow),
    /// It was imported before.
    AlreadyThere(DoneRow),
    /// It cannot be imported.
    Bad(BadRow),
}

/// A row that can be imported.
#[derive(Debug)]
pub struct DoneRow {
    /// Where the row begins.
    pub line: u64,
    /// The name, as it is written there.
    pub name: String,
}

/// Why a row cannot be imported.
#[derive(Debug)]
pub struct BadRow {
    /// Where the row begins.
    pub line: u64,
    /// Whose it is, as it is written there, if that can be read.
    pub subject: Option<String>,
    /// The rule that it breaks. It holds no secret.
    pub reason: String,
}

/// Whether anything is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rehearsal {
    /// Nothing is: it is only said what would be.
    Yes,
    /// It is.
    No,
}

/// The line of each name's latest row that is under way, and when it is done.
type UnderWay = Rc<RefCell<BTreeMap<SubjectId, (u64, oneshot::Receiver<()>)>>>;

/// Whose rows are under way.
#[derive(Default)]
struct Turns(UnderWay);

impl Turns {
    /// The next turn of the name that a row is about. To be taken in the order of the rows.
    fn take(&self, row: &Row) -> Turn {
        let name = match &row.entry {
            Ok(Entry::Factor(factor)) => fold_username(&factor.subject).ok(),
            Ok(Entry::Alias { alias, .. }) => fold_username(alias).ok(),
            Err(_) => None,
        };
        let (done, is_done) = oneshot::channel();
        let before = name.clone().and_then(|name| self.0.borrow_mut().insert(name, (row.line, is_done)));
        Turn {
            before: before.map(|(_, is_done)| is_done),
            name,
            line: row.line,
            turns: Rc::clone(&self.0),
            _done: done,
        }
    }
}

/// It is over when it is dropped.
struct Turn {
    before: Option<oneshot::Receiver<()>>,
    name: Option<SubjectId>,
    line: u64,
    turns: UnderWay,
    _done: oneshot::Sender<()>,
}

impl Turn {
    async fn comes(mut self) -> Self {
        if let Some(before) = self.before.take() {
            // Its end is an error: nothing is ever sent.
            let _ = before.await;
        }
        self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Memory must not grow with the file.
        if let Some(name) = &self.name
            && let mut turns = self.turns.borrow_mut()
            && turns.get(name).is_some_and(|(line, _)| *line == self.line)
        {
            turns.remove(name);
        }
    }
}

/// Why one row was not done: the row, or the store, with which no other row fares better.
enum Stop {
    Row(String),
    All(AdminError),
}

impl From<AdminError> for Stop {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Store(error) => error.into(),
            other => Self::All(other),
        }
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(_) | StoreError::Malformed { .. } | StoreError::Sealed { .. } => {
                Self::Row(error.to_string())
            }
            StoreError::Unreachable(_)
            | StoreError::TimedOut { .. }
            | StoreError::Overloaded
            | StoreError::Failed(_) => Self::All(error.into()),
        }
    }
}

impl From<EditDenial> for Stop {
    fn from(denial: EditDenial) -> Self {
        Self::Row(denial.to_string())
    }
}

impl From<UsernameFault> for Stop {
    fn from(fault: UsernameFault) -> Self {
        Self::Row(format!("the subject {fault}"))
    }
}

impl From<TotpFault> for Stop {
    fn from(fault: TotpFault) -> Self {
        Self::Row(fault.to_string())
    }
}

impl<S, C> Administration<'_, S, C>
where
    S: EnrolmentRegistry + AuditTrail,
    C: Clock,
{
    /// Takes rows over, in their order. `told` hears of each. It stops at the end of the rows, or when the store does
    /// not answer.
    pub async fn import(
        &self,
        rows: impl Stream<Item = Row>,
        rehearsal: Rehearsal,
        mut told: impl FnMut(&RowOutcome),
    ) -> Result<ImportSummary, AdminError> {
        let turns = Turns::default();
        let in_turn = rows.map(|row| {
            let turn = turns.take(&row);
            async {
                let _turn = turn.comes().await;
                self.import_row(row, rehearsal).await
            }
        });
        let done = in_turn.buffered(IMPORTS_AT_ONCE);
        pin_mut!(done);
        let mut summary = ImportSummary::default();
        while let Some(outcome) = done.next().await {
            let (outcome, is_short) = outcome?;
            match &outcome {
                RowOutcome::Imported(_) => summary.imported += 1,
                RowOutcome::AlreadyThere(_) => summary.already_there += 1,
                RowOutcome::Bad(_) => summary.bad += 1,
            }
            summary.short_secrets += u64::from(is_short && matches!(outcome, RowOutcome::Imported(_)));
            told(&outcome);
        }
        if rehearsal == Rehearsal::No && summary.imported > 0 {
            // Those of the rows are kept for a shorter time.
            let rows = format!("{} rows", summary.imported);
            self.record(ChangeKind::Imported, None, Some(&rows)).await?;
        }
        Ok(summary)
    }

    async fn import_row(&self, row: Row, rehearsal: Rehearsal) -> Result<(RowOutcome, bool), AdminError> {
        let Row { line, subject: said, entry } = row;
        let bad = |subject, reason| Ok((RowOutcome::Bad(BadRow { line, subject, reason }), false));
        let (name, is_short, done) = match entry {
            Err(fault) => return bad(said, fault.to_string()),
            Ok(Entry::Factor(factor)) => {
                let is_short = factor.secret.expose().len() < TOTP_SECRET_BYTES_MIN;
                let name = factor.subject.clone();
                (name, is_short, self.import_factor(*factor, rehearsal).await)
            }
            Ok(Entry::Alias { alias, subject }) => {
                let done = self.import_alias(&alias, &subject, rehearsal).await;
                (alias, false, done)
            }
        };
        match done {
            Ok(TakenOver::Added) => Ok((RowOutcome::Imported(DoneRow { line, name }), is_short)),
            Ok(TakenOver::AlreadyThere) => Ok((RowOutcome::AlreadyThere(DoneRow { line, name }), false)),
            Err(Stop::Row(reason)) => bad(Some(name), reason),
            Err(Stop::All(error)) => Err(error),
        }
    }

    async fn import_factor(&self, incoming: IncomingFactor, rehearsal: Rehearsal) -> Result<TakenOver, Stop> {
        let subject = fold_username(&incoming.subject)?;
        let totp = Totp::taken_over(incoming.parameters, &incoming.secret)?;
        let now = self.now();
        let id = match incoming.id {
            Some(id) => id,
            None => id_of(&subject, totp.expose_secret())?,
        };
        // A clock that was ahead must not shut anybody out for longer than a code lives.
        let latest = now.plus(std::time::Duration::from_secs(totp.window_secs())).as_secs();
        let latest = latest / u64::from(totp.parameters().period_secs());
        let takeover = Takeover {
            factor: NewFactor {
                id: Some(id.clone()),
                label: checked_label(incoming.label)?,
                enrolled_at: incoming.enrolled_at.unwrap_or(now),
                totp,
            },
            recovery_codes: incoming.recovery_codes,
            last_used_step: incoming.last_used_step.map(|step| step.min(latest)),
            now,
        };
        if rehearsal == Rehearsal::Yes {
            return Ok(self.store().would_import(&subject, &takeover).await?);
        }
        let done = self.store().import(&subject, &takeover).await?;
        if done == TakenOver::Added {
            self.record(ChangeKind::Imported, Some(&subject), Some(id.as_str())).await?;
        }
        Ok(done)
    }

    async fn import_alias(
        &self,
        alias: &str,
        subject: &str,
        rehearsal: Rehearsal,
    ) -> Result<TakenOver, Stop> {
        let (alias, subject) = (fold_username(alias)?, fold_username(subject)?);
        let status = self.store().status(&alias).await?;
        match status.alias_of {
            Some(other) if other == subject => return Ok(TakenOver::AlreadyThere),
            Some(_) => return Err(Stop::Row("the name is an alias of another subject already".into())),
            None if !status.factors.is_empty() => {
                return Err(Stop::Row("the name is enrolled itself, so that it cannot be an alias".into()));
            }
            None => {}
        }
        if rehearsal == Rehearsal::No {
            self.import_alias_of(&alias, &subject).await?;
        }
        Ok(TakenOver::Added)
    }
}

/// The id of a factor that is taken over: of the same secret of the same subject, the same one every time.
fn id_of(subject: &SubjectId, secret: &[u8]) -> Result<FactorId, Stop> {
    let mut digest = Sha256::new();
    for part in [b"tfa-gateway imported factor v1", subject.as_str().as_bytes(), secret] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let mut id = String::from("imp-");
    for byte in &digest.finalize()[..8] {
        let _ = write!(id, "{byte:02x}");
    }
    FactorId::parse(&id).map_err(|fault| Stop::Row(fault.to_string()))
}
