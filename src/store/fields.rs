//! The fields of an enrolment, the same in both stores (`docs/redis.md`), and what they say.

use std::collections::BTreeMap;

use super::{
    StoreSettings,
    key_file::KeySource,
    record::{self, State, malformed},
    recovery_record,
};
use crate::{
    factor::{Factor, Factors, RecoveryCode},
    identity::fold_username,
    policy::Enrolment,
    step_up::{FactorStatus, Found, NameSummary, StoreError},
    types::{FactorId, NonEmpty, SubjectId},
};

/// All that a store has of a subject's enrolment, by field.
pub(super) type Fields = BTreeMap<String, Vec<u8>>;

/// Alone in an enrolment: whose other name it is.
pub(super) const ALIAS_OF: &str = "alias_of";
/// A secret in base32, written by a site's own code.
const PLAIN: &str = "totp_secret";
/// What the field of a factor starts with.
pub(super) const TOTP: &str = "totp:";
/// What the field of a factor starts with that waits for its confirmation.
const PENDING: &str = "pending:";
/// What the field of an unused recovery code starts with.
const RECOVERY: &str = "recovery:";

/// What a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field<'a> {
    Alias,
    Plain,
    Totp(&'a str),
    Pending(&'a str),
    Recovery(&'a str),
    /// A newer version may know it.
    Unknown,
}

impl<'a> Field<'a> {
    pub(super) fn of(name: &'a str) -> Self {
        match name {
            ALIAS_OF => Self::Alias,
            PLAIN => Self::Plain,
            _ => name
                .strip_prefix(TOTP)
                .map(Self::Totp)
                .or_else(|| name.strip_prefix(PENDING).map(Self::Pending))
                .or_else(|| name.strip_prefix(RECOVERY).map(Self::Recovery))
                .unwrap_or(Self::Unknown),
        }
    }

    /// Whether it is a factor that counts.
    pub(super) const fn is_factor(self) -> bool {
        matches!(self, Self::Totp(_) | Self::Plain)
    }
}

/// The field of a factor that counts.
pub(super) fn factor(id: &FactorId) -> String {
    if id.as_str() == FactorId::PLAIN { PLAIN.to_owned() } else { totp(id) }
}

/// The field of a factor.
pub(super) fn totp(id: &FactorId) -> String {
    format!("{TOTP}{id}")
}

/// The field of a factor that waits for its confirmation.
pub(super) fn pending(id: &FactorId) -> String {
    format!("{PENDING}{id}")
}

/// The field of a recovery code.
pub(super) fn recovery(id: &FactorId) -> String {
    format!("{RECOVERY}{id}")
}

/// How many factors count.
pub(super) fn factors(fields: &Fields) -> usize {
    fields.keys().filter(|name| Field::of(name).is_factor()).count()
}

/// Whose alias a name is. One that has factors as well is an error: they might be meant, or the alias.
pub(super) fn alias_of(fields: &Fields) -> Result<Option<SubjectId>, StoreError> {
    match fields.get(ALIAS_OF) {
        None => Ok(None),
        Some(_) if fields.len() > 1 => Err(malformed("enrolment", "an alias must have no other field")),
        Some(subject) => std::str::from_utf8(subject)
            .ok()
            .and_then(|text| fold_username(text).ok().filter(|folded| folded.as_str() == text))
            .map(Some)
            .ok_or_else(|| malformed(ALIAS_OF, "it must be a folded user name (docs/redis.md)")),
    }
}

/// Opens what is there under a name.
///
/// A factor that does not open fails the whole: if it were passed over, whoever can write to the store could take a
/// person's factors away one by one. Fields that this version does not know are passed over beside a factor that it
/// does, for any one factor is enough; alone they are an error. A factor that waits is none.
pub(super) fn open(
    keys: &KeySource,
    name: &SubjectId,
    fields: &Fields,
    settings: &StoreSettings,
) -> Result<Found, StoreError> {
    if let Some(subject) = alias_of(fields)? {
        return Ok(Found::AliasOf(subject));
    }
    let mut factors = Vec::new();
    let mut recovery_codes = Vec::new();
    for (field, value) in fields {
        match Field::of(field) {
            Field::Totp(id) => factors.push(open_factor(keys, name, id, State::Active, value)?),
            Field::Plain => factors.push(open_plain(value, settings)?),
            Field::Recovery(id) => {
                recovery_codes.push(RecoveryCode { id: parse_id(id)?, record: value.as_slice().into() });
            }
            Field::Alias | Field::Pending(_) | Field::Unknown => {}
        }
    }
    match NonEmpty::from_vec(factors) {
        Some(totp) => Ok(Found::Subject(Enrolment::Active(Factors { totp, recovery_codes }))),
        None if fields.keys().all(|field| matches!(Field::of(field), Field::Pending(_))) => {
            Ok(Found::Subject(Enrolment::Absent))
        }
        None => Err(malformed("enrolment", "it must have a field 'totp:<factor>' or 'totp_secret'")),
    }
}

/// Opens one factor, with keys that were added since the key file was read, too.
pub(super) fn open_factor(
    keys: &KeySource,
    subject: &SubjectId,
    id: &str,
    state: State,
    record: &[u8],
) -> Result<Factor, StoreError> {
    let id = parse_id(id)?;
    keys.opening(|ring| record::open(ring, subject, &id, state, record))
}

pub(super) fn open_plain(secret: &[u8], settings: &StoreSettings) -> Result<Factor, StoreError> {
    if !settings.plain_secrets {
        let rule = "plain secrets are honoured only if the configuration has [store] plain_secrets = true";
        return Err(malformed(PLAIN, rule));
    }
    record::plain(secret, settings.default_totp)
}

/// What `status` says of the factors, whether or not they open.
pub(super) fn describe(
    keys: &KeySource,
    subject: &SubjectId,
    fields: &Fields,
    settings: &StoreSettings,
) -> Vec<FactorStatus> {
    let described = fields.iter().filter_map(|(name, value)| match Field::of(name) {
        Field::Totp(id) => Some(describe_factor(keys, subject, id, State::Active, value)),
        Field::Pending(id) => Some(describe_factor(keys, subject, id, State::Pending, value)),
        Field::Plain => Some(FactorStatus {
            parameters: Some(settings.default_totp),
            problem: open_plain(value, settings).err().as_ref().map(problem),
            ..FactorStatus::named(FactorId::PLAIN)
        }),
        Field::Unknown => Some(FactorStatus {
            problem: Some("this version does not know such a field".to_owned()),
            ..FactorStatus::named(name)
        }),
        Field::Alias | Field::Recovery(_) => None,
    });
    described.collect()
}

fn describe_factor(
    keys: &KeySource,
    subject: &SubjectId,
    id: &str,
    state: State,
    value: &[u8],
) -> FactorStatus {
    let problem = open_factor(keys, subject, id, state, value).err().as_ref().map(problem);
    let described = parse_id(id).and_then(|id| record::describe(&id, value)).ok();
    FactorStatus {
        is_pending: state == State::Pending,
        label: described.as_ref().and_then(|d| d.label.clone()),
        parameters: described.as_ref().map(|d| d.parameters),
        enrolled_at: described.as_ref().map(|d| d.enrolled_at),
        key_id: described.map(|d| d.key_id.to_string()),
        problem,
        ..FactorStatus::named(id)
    }
}

fn problem(error: &StoreError) -> String {
    match error {
        StoreError::Sealed { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

/// What can be said of a name without opening anything.
pub(super) fn summary(name: SubjectId, fields: &Fields) -> NameSummary {
    let count = |is: fn(Field<'_>) -> bool| fields.keys().filter(|name| is(Field::of(name))).count();
    NameSummary {
        name,
        alias_of: alias_of(fields).ok().flatten(),
        factors: factors(fields),
        pending: count(|field| matches!(field, Field::Pending(_))),
        recovery_codes: recovery_codes(fields),
    }
}

/// The recovery codes that can be read.
pub(super) fn recovery_codes(fields: &Fields) -> usize {
    fields
        .iter()
        .filter(|(name, value)| match Field::of(name) {
            Field::Recovery(id) => parse_id(id).and_then(|id| recovery_record::key_id(&id, value)).is_ok(),
            _ => false,
        })
        .count()
}

pub(super) fn parse_id(id: &str) -> Result<FactorId, StoreError> {
    FactorId::parse(id)
        .map_err(|_| malformed("enrolment", "a factor id must be 1 to 32 of a-z, 0-9, '-' and '_'"))
}
