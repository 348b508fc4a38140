//! The audit trail of administration: every change, with who made it, what it was, and when.

use std::{fmt, future::Future};

use super::StoreError;
use crate::types::{
    SubjectId, UnixTime,
    limits::{TRAIL_EVENTS_MAX, TRAIL_IMPORTED_EVENTS_MAX},
};

/// Who changes something: by which way, and under which name. It is shown, and never a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor(String);

impl Actor {
    /// A user of this machine.
    pub fn command_line(user: &str) -> Self {
        Self(format!("cli:{user}"))
    }

    /// A client of the administration API.
    pub fn api(client: &str) -> Self {
        Self(format!("api:{client}"))
    }

    /// The subject itself, on the self-service page.
    pub fn own(subject: &SubjectId) -> Self {
        Self(format!("self:{subject}"))
    }

    /// Whether it is the subject itself.
    pub fn is_own(&self) -> bool {
        self.0.starts_with("self:")
    }

    /// As a store kept it.
    pub const fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The way and the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What was changed. The names are part of the documented interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// A factor was added that counts at once.
    Enrolled,
    /// A factor was added that waits for its confirmation.
    Proposed,
    /// A factor was confirmed.
    Confirmed,
    /// A factor was removed.
    Removed,
    /// A factor was given another name.
    Renamed,
    /// New recovery codes took the place of the old ones.
    RecoveryCodesReplaced,
    /// All factors were removed.
    Disabled,
    /// Failures were forgotten, and a lock lifted.
    Unlocked,
    /// A name was made an alias.
    AliasAdded,
    /// An alias was forgotten.
    AliasRemoved,
    /// A factor or an alias was taken over from another system; without a subject: as many rows as the object says.
    Imported,
    /// Records were sealed with the current key.
    Resealed,
    /// Factors were written to a file.
    Exported,
    /// A remembered device was forgotten.
    DeviceForgotten,
}

impl ChangeKind {
    const ALL: [Self; 14] = [
        Self::Enrolled,
        Self::Proposed,
        Self::Confirmed,
        Self::Removed,
        Self::Renamed,
        Self::RecoveryCodesReplaced,
        Self::Disabled,
        Self::Unlocked,
        Self::AliasAdded,
        Self::AliasRemoved,
        Self::Imported,
        Self::Resealed,
        Self::Exported,
        Self::DeviceForgotten,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enrolled => "enrolled",
            Self::Proposed => "proposed",
            Self::Confirmed => "confirmed",
            Self::Removed => "removed",
            Self::Renamed => "renamed",
            Self::RecoveryCodesReplaced => "recovery_codes_replaced",
            Self::Disabled => "disabled",
            Self::Unlocked => "unlocked",
            Self::AliasAdded => "alias_added",
            Self::AliasRemoved => "alias_removed",
            Self::Imported => "imported",
            Self::Resealed => "resealed",
            Self::Exported => "exported",
            Self::DeviceForgotten => "device_forgotten",
        }
    }

    /// Reads [`ChangeKind::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One change. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailEvent {
    /// When, by the clock of whoever changed it.
    pub at: UnixTime,
    /// Who.
    pub actor: Actor,
    /// What.
    pub change: ChangeKind,
    /// Whose.
    pub subject: Option<SubjectId>,
    /// Which factor, alias or file.
    pub object: Option<String>,
}

/// Which list an event is kept in. Each has a bound of its own, so that no list pushes events out of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrailList {
    /// What operators change.
    Operators,
    /// What people change of their own.
    Own,
    /// Rows that were imported, of which there may be millions.
    Imported,
}

impl TrailList {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Operators, Self::Own, Self::Imported];

    /// How many events are kept, about.
    pub const fn events_max(self) -> usize {
        match self {
            Self::Operators | Self::Own => TRAIL_EVENTS_MAX,
            Self::Imported => TRAIL_IMPORTED_EVENTS_MAX,
        }
    }
}

impl TrailEvent {
    /// Where it is kept.
    pub fn list(&self) -> TrailList {
        match (self.change, &self.subject) {
            _ if self.actor.is_own() => TrailList::Own,
            (ChangeKind::Imported, Some(_)) => TrailList::Imported,
            _ => TrailList::Operators,
        }
    }
}

/// Which events are asked for, the latest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrailQuery {
    /// Only those of this subject.
    pub subject: Option<SubjectId>,
    /// Only those before this place, which is [`TrailPage::next`] of the page before.
    pub before: Option<String>,
    /// How many at most.
    pub limit: usize,
}

/// Some events, the latest first.
#[derive(Debug, Clone, Default)]
pub struct TrailPage {
    /// The events.
    pub events: Vec<TrailEvent>,
    /// Where earlier ones begin; `None` if there are none.
    pub next: Option<String>,
}

/// Where changes are recorded.
pub trait AuditTrail {
    /// Records a change. The oldest of its list go when there are too many; of somebody's own changes, the oldest of
    /// that subject when it has more than `TRAIL_OWN_EVENTS_MAX`.
    fn append(&self, event: &TrailEvent) -> impl Future<Output = Result<(), StoreError>>;
    /// Reads what was recorded.
    fn trail(&self, query: &TrailQuery) -> impl Future<Output = Result<TrailPage, StoreError>>;
}
