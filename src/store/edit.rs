//! Changes of an enrolment, as pure steps from what was read to what is to be written.
//!
//! Invariants: a store applies a [`Change`] only if what it holds is still what was read, so that of two who edit a
//! subject at once, the later one edits what the earlier one left; nothing here is a refusal and a change at once.

use super::{
    fields::{self, ALIAS_OF, Field, Fields},
    record::{self, State},
    recovery_record,
};
use crate::{
    factor::{Factor, Matched, PresentedRecoveryCode},
    sealing::KeyRing,
    step_up::{Beside, EditDenial, NewFactor, StoreError},
    types::{
        FactorId, SubjectId, UnixTime,
        limits::{FACTORS_MAX, PENDING_MAX, PENDING_SECS_MAX, RECOVERY_CODES_MAX},
    },
};

/// A step that was used: a factor was confirmed with it, or another system accepted it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) factor: FactorId,
    /// RFC 6238 section 4.2 (T).
    pub(super) step: u64,
    /// How long its passcode can be presented.
    pub(super) window_secs: u64,
    /// When it was spent.
    pub(super) at: UnixTime,
}

/// What is to become of an enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// What was read.
    pub(super) before: Fields,
    /// What is to be there instead.
    pub(super) after: Fields,
    /// Whether failures and locks are forgotten.
    pub(super) forgets_failures: bool,
    /// Whether remembered devices are forgotten, as they are whenever a factor changes.
    pub(super) forgets_devices: bool,
    /// A step that must not be accepted again.
    pub(super) spends: Option<Spent>,
}

impl Change {
    fn to(before: &Fields, after: Fields) -> Self {
        Self { before: before.clone(), after, forgets_failures: false, forgets_devices: false, spends: None }
    }

    fn of_factors(before: &Fields, after: Fields) -> Self {
        Self { forgets_devices: true, ..Self::to(before, after) }
    }

    /// Leaves all as it is.
    pub(super) fn nothing(before: &Fields) -> Self {
        Self::to(before, before.clone())
    }

    /// Whether there is nothing to do.
    pub(super) fn is_nothing(&self) -> bool {
        self.before == self.after && !self.forgets_failures && !self.forgets_devices && self.spends.is_none()
    }

    /// Fields that are new or changed.
    pub(super) fn set(&self) -> impl Iterator<Item = (&String, &Vec<u8>)> {
        self.after.iter().filter(|(name, value)| self.before.get(*name) != Some(value))
    }

    /// Fields that are gone.
    pub(super) fn removed(&self) -> impl Iterator<Item = &String> {
        self.before.keys().filter(|name| !self.after.contains_key(*name))
    }
}

/// What an edit answers, and the change that makes it true.
pub(super) type Edit<T> = Result<(Change, T), StoreError>;

/// One subject's enrolment, being edited.
#[derive(Clone, Copy)]
pub(super) struct Editor<'a> {
    pub(super) ring: &'a KeyRing,
    pub(super) subject: &'a SubjectId,
    pub(super) fields: &'a Fields,
}

impl Editor<'_> {
    /// Adds a factor that counts. Answers its id, and how many there are then.
    pub(super) fn enrol(self, new: &NewFactor) -> Edit<(FactorId, usize)> {
        let id = self.free_id(new)?;
        let mut after = self.fields.clone();
        let record = record::seal(self.ring, self.subject, &id, State::Active, new)?;
        after.insert(fields::totp(&id), record.into_bytes());
        let count = fields::factors(&after);
        Ok((Change::of_factors(self.fields, after), (id, count)))
    }

    /// Adds a factor that waits for its confirmation. It takes the place of those that have waited for too long.
    pub(super) fn propose(self, new: &NewFactor) -> Edit<FactorId> {
        let id = self.free_id(new)?;
        let mut after = self.fields.clone();
        let mut waiting: Vec<(UnixTime, String)> = Vec::new();
        for (name, value) in self.fields {
            if let Field::Pending(other) = Field::of(name) {
                let since = fields::parse_id(other).and_then(|other| record::describe(&other, value));
                waiting.push((since.map_or(UnixTime::default(), |d| d.enrolled_at), name.clone()));
            }
        }
        waiting.sort();
        let too_many = (waiting.len() + 1).saturating_sub(PENDING_MAX);
        for (position, (since, name)) in waiting.iter().enumerate() {
            if position < too_many || is_over(*since, new.enrolled_at) {
                after.remove(name);
            }
        }
        let record = record::seal(self.ring, self.subject, &id, State::Pending, new)?;
        after.insert(fields::pending(&id), record.into_bytes());
        Ok((Change::to(self.fields, after), id))
    }

    /// The factor that waits under an id.
    pub(super) fn pending(self, id: &FactorId, now: UnixTime) -> Result<Factor, StoreError> {
        let Some(record) = self.fields.get(&fields::pending(id)) else {
            let counts = self.fields.contains_key(&fields::factor(id));
            return Err(if counts { EditDenial::NotPending } else { EditDenial::NoSuchFactor }.into());
        };
        let factor = record::open(self.ring, self.subject, id, State::Pending, record)?;
        if factor.enrolled_at.is_none_or(|since| is_over(since, now)) {
            return Err(EditDenial::NotPending.into());
        }
        Ok(factor)
    }

    /// Makes a factor count that a passcode has confirmed. Answers how many there are then.
    pub(super) fn confirm(self, confirmed: &Matched, beside: Beside, now: UnixTime) -> Edit<usize> {
        if beside == Beside::None && fields::factors(self.fields) > 0 {
            return Err(EditDenial::OthersCount.into());
        }
        let id = confirmed.factor();
        let Factor { id: _, label, enrolled_at: _, totp } = self.pending(id, now)?;
        let new = NewFactor { id: Some(id.clone()), label, enrolled_at: now, totp };
        let ((mut change, (_, count)), waiting) = (self.enrol(&new)?, fields::pending(id));
        change.after.remove(&waiting);
        change.spends = Some(Spent {
            factor: id.clone(),
            step: confirmed.step(),
            window_secs: confirmed.window_secs(),
            at: now,
        });
        Ok((change, count))
    }

    /// Removes one factor, whether it counts or waits. Answers how many are left; with the last, the recovery codes
    /// go, too.
    pub(super) fn remove(self, id: &FactorId) -> Edit<usize> {
        let mut after = self.fields.clone();
        let was_there = [fields::totp(id), fields::pending(id)].map(|name| after.remove(&name).is_some());
        if was_there == [false, false] {
            return Err(self.unchanged(id).into());
        }
        let left = fields::factors(&after);
        if left == 0 {
            after.retain(|name, _| matches!(Field::of(name), Field::Pending(_)));
        }
        let [counted, _] = was_there;
        let change = Change { forgets_failures: counted && left == 0, ..Change::to(self.fields, after) };
        Ok((Change { forgets_devices: counted, ..change }, left))
    }

    /// Gives a factor that counts another name.
    pub(super) fn rename(self, id: &FactorId, label: Option<String>) -> Edit<()> {
        let name = fields::totp(id);
        let record = self.fields.get(&name).ok_or_else(|| self.unchanged(id))?;
        let factor = record::open(self.ring, self.subject, id, State::Active, record)?;
        let resealed = self.seal_again(Factor { label, ..factor }, State::Active)?;
        let mut after = self.fields.clone();
        after.insert(name, resealed.into_bytes());
        Ok((Change::to(self.fields, after), ()))
    }

    /// Removes all factors and recovery codes. Answers how many factors there were.
    pub(super) fn disable(self) -> Edit<usize> {
        self.check_is_no_alias()?;
        let change = Change::of_factors(self.fields, Fields::new());
        Ok((Change { forgets_failures: true, ..change }, fields::factors(self.fields)))
    }

    /// Puts these recovery codes in the place of those that there are.
    pub(super) fn replace_recovery_codes(self, set: &FactorId, codes: &[PresentedRecoveryCode]) -> Edit<()> {
        if codes.len() > RECOVERY_CODES_MAX {
            return Err(EditDenial::TooManyCodes.into());
        }
        if fields::factors(self.fields) == 0 {
            return Err(EditDenial::NotEnrolled.into());
        }
        let mut after = self.fields.clone();
        after.retain(|name, _| !matches!(Field::of(name), Field::Recovery(_)));
        for (number, code) in codes.iter().enumerate() {
            let id = fields::parse_id(&format!("{set}-{number}"))?;
            let record = recovery_record::seal(self.ring, self.subject, &id, code)?;
            after.insert(fields::recovery(&id), record.into_bytes());
        }
        Ok((Change::of_factors(self.fields, after), ()))
    }

    /// Makes the name another name of a subject.
    pub(super) fn add_alias(self, of: &SubjectId) -> Edit<()> {
        if self.fields.keys().any(|name| Field::of(name) != Field::Alias) {
            return Err(EditDenial::IsEnrolled.into());
        }
        let after = Fields::from([(ALIAS_OF.to_owned(), of.as_str().as_bytes().to_vec())]);
        Ok((Change::to(self.fields, after), ()))
    }

    /// Forgets the alias. Answers whether there was one.
    pub(super) fn remove_alias(self) -> (Change, bool) {
        let mut after = self.fields.clone();
        let was_there = after.remove(ALIAS_OF).is_some();
        (Change::to(self.fields, after), was_there)
    }

    /// Seals with the current key what is sealed with another. Answers how many records that were.
    pub(super) fn reseal(self) -> Edit<usize> {
        let mut after = self.fields.clone();
        let mut count = 0;
        for (name, value) in self.fields {
            let resealed = match Field::of(name) {
                Field::Totp(id) => self.reseal_factor(id, State::Active, value)?,
                Field::Pending(id) => self.reseal_factor(id, State::Pending, value)?,
                Field::Recovery(id) => {
                    recovery_record::reseal(self.ring, self.subject, &fields::parse_id(id)?, value)?
                }
                Field::Alias | Field::Plain | Field::Unknown => None,
            };
            if let Some(resealed) = resealed {
                after.insert(name.clone(), resealed.into_bytes());
                count += 1;
            }
        }
        Ok((Change::to(self.fields, after), count))
    }

    fn reseal_factor(self, id: &str, state: State, value: &[u8]) -> Result<Option<String>, StoreError> {
        let id = fields::parse_id(id)?;
        if record::describe(&id, value)?.key_id == *self.ring.current_id() {
            return Ok(None);
        }
        let factor = record::open(self.ring, self.subject, &id, state, value)?;
        self.seal_again(factor, state).map(Some)
    }

    fn seal_again(self, factor: Factor, state: State) -> Result<String, StoreError> {
        let Factor { id, label, enrolled_at, totp } = factor;
        let new = NewFactor { id: None, label, enrolled_at: enrolled_at.unwrap_or_default(), totp };
        record::seal(self.ring, self.subject, &id, state, &new)
    }

    /// Why there is no factor of that id that could be changed.
    fn unchanged(self, id: &FactorId) -> EditDenial {
        if self.fields.contains_key(&fields::pending(id)) {
            EditDenial::Waits
        } else if self.fields.contains_key(&fields::factor(id)) {
            EditDenial::IsPlain
        } else {
            EditDenial::NoSuchFactor
        }
    }

    fn check_is_no_alias(self) -> Result<(), StoreError> {
        if self.fields.contains_key(ALIAS_OF) { Err(EditDenial::IsAlias.into()) } else { Ok(()) }
    }

    /// A name for a factor, if there is room for one more.
    fn free_id(self, new: &NewFactor) -> Result<FactorId, StoreError> {
        self.check_is_no_alias()?;
        if let Some(id) = &new.id
            && self.fields.contains_key(&fields::totp(id))
        {
            return Err(EditDenial::TakenId.into());
        }
        if fields::factors(self.fields) >= FACTORS_MAX {
            return Err(EditDenial::TooManyFactors.into());
        }
        match &new.id {
            Some(id) => Ok(id.clone()),
            None => record::random_factor_id(),
        }
    }
}

/// Whether what was proposed then can no longer be confirmed.
fn is_over(since: UnixTime, now: UnixTime) -> bool {
    since.secs_until(now) > PENDING_SECS_MAX
}
