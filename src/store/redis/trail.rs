//! The audit trail in Redis, a capped stream for each list, read as one by the milliseconds of the entries; and the
//! audit events of grants: a capped stream, too.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::LazyLock,
};

use redis::Script;

use super::{super::trail_record, RedisStore, keys};
use crate::{
    step_up::{EditDenial, StoreError, TrailList, TrailPage, TrailQuery},
    types::{
        SubjectId,
        limits::{AUDIT_EVENTS_MAX, TRAIL_OWN_EVENTS_MAX, TRAIL_OWN_EVENTS_SECS},
    },
};

/// The one field of an entry.
const EVENT: &str = "event";
/// Entries that are read at once.
const READ_AT_ONCE: usize = 500;

static OWN_CHANGE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/own_change.lua")));

type Entry = (String, HashMap<String, Vec<u8>>);

impl RedisStore {
    pub(in super::super) async fn append_event(
        &self,
        record: &str,
        list: TrailList,
        subject: Option<&SubjectId>,
    ) -> Result<(), StoreError> {
        let key = keys::trail(list);
        let place = self.add(key, list.events_max(), record).await?;
        match subject {
            Some(subject) if list == TrailList::Own => self.keep_own(subject, &place).await,
            _ => Ok(()),
        }
    }

    /// Drops the oldest of a subject's own changes, if it has made too many.
    async fn keep_own(&self, subject: &SubjectId, place: &str) -> Result<(), StoreError> {
        let key = keys::own_changes(subject);
        // A score is exact up to 2^53.
        let (millis, sequence) = id_of(place).ok_or(NOT_A_PLACE)?;
        let score = millis.saturating_mul(1000).saturating_add(sequence.min(999));
        let mut call = OWN_CHANGE.key(&key);
        call.arg(place).arg(score).arg(TRAIL_OWN_EVENTS_MAX).arg(TRAIL_OWN_EVENTS_SECS);
        let remember = async |mut c| call.invoke_async::<Vec<String>>(&mut c).await;
        let dropped = self.servers.write(&key, remember).await?;
        if dropped.is_empty() {
            return Ok(());
        }
        let key = keys::trail(TrailList::Own);
        let delete = async |mut c| redis::cmd("XDEL").arg(key).arg(&dropped).exec_async(&mut c).await;
        self.servers.write(key, delete).await
    }

    pub(in super::super) async fn keep_event(&self, event: &str) -> Result<(), StoreError> {
        self.add(keys::EVENTS, AUDIT_EVENTS_MAX, event).await.map(drop)
    }

    /// Adds an entry to a stream, and says where it stands; the oldest go, approximately.
    async fn add(&self, stream: &str, entries_max: usize, event: &str) -> Result<String, StoreError> {
        let add = async |mut c| {
            let mut add = redis::cmd("XADD");
            add.arg(stream).arg("MAXLEN").arg("~").arg(entries_max).arg("*").arg(EVENT).arg(event);
            add.query_async(&mut c).await
        };
        self.servers.write(stream, add).await
    }

    /// The latest first; those of other subjects are passed over.
    pub(in super::super) async fn trail(&self, query: &TrailQuery) -> Result<TrailPage, StoreError> {
        let before = query.before.as_deref().map(Place::parse).transpose()?;
        let mut streams = TrailList::ALL.map(|list| Stream::before(list, before.as_ref()));
        let mut page = TrailPage::default();
        loop {
            for stream in &mut streams {
                self.read_on(stream).await?;
            }
            let Some((place, event)) = Stream::take_latest(&mut streams) else {
                page.next = None;
                return Ok(page);
            };
            if page.events.len() == query.limit {
                return Ok(page);
            }
            let event = trail_record::decode(&event)?;
            if query.subject.is_none() || query.subject == event.subject {
                page.next = Some(place.to_string());
                page.events.push(event);
            }
        }
    }

    /// Reads more of a stream, if all that was read is taken, and there is more.
    async fn read_on(&self, stream: &mut Stream) -> Result<(), StoreError> {
        if stream.is_over || !stream.read.is_empty() {
            return Ok(());
        }
        let key = keys::trail(stream.list);
        let range = async |mut c| {
            let mut range = redis::cmd("XREVRANGE");
            range.arg(key).arg(&stream.before).arg("-").arg("COUNT").arg(READ_AT_ONCE);
            range.query_async::<Vec<Entry>>(&mut c).await
        };
        let entries = self.servers.read(key, range).await?;
        stream.is_over = entries.len() < READ_AT_ONCE;
        for (id, mut fields) in entries {
            stream.before = format!("({id}");
            let place = Place { id: id_of(&id).ok_or(NOT_A_PLACE)?, list: stream.list };
            stream.read.push_back((place, fields.remove(EVENT).unwrap_or_default()));
        }
        Ok(())
    }
}

const NOT_A_PLACE: StoreError = StoreError::Refused(EditDenial::BadPlace);

/// One of the streams, being read from its end.
struct Stream {
    list: TrailList,
    /// The end of what is read next, as Redis takes it.
    before: String,
    read: VecDeque<(Place, Vec<u8>)>,
    is_over: bool,
}

impl Stream {
    fn before(list: TrailList, place: Option<&Place>) -> Self {
        let before = match place {
            None => "+".to_owned(),
            Some(Place { id: (millis, sequence), list: of }) => {
                // Of entries of one id, those of the lists in their order are the latest.
                let is_taken = list as usize <= *of as usize;
                format!("{}{millis}-{sequence}", if is_taken { "(" } else { "" })
            }
        };
        Self { list, before, read: VecDeque::new(), is_over: false }
    }

    fn take_latest(streams: &mut [Self]) -> Option<(Place, Vec<u8>)> {
        let latest = |stream: &&mut Self| {
            let id = stream.read.front().map(|(place, _)| place.id);
            (id, std::cmp::Reverse(stream.list as usize))
        };
        streams.iter_mut().max_by_key(latest)?.read.pop_front()
    }
}

/// Where an event is: its id, and a letter for the list.
struct Place {
    id: (u64, u64),
    list: TrailList,
}

impl Place {
    const LETTERS: [(TrailList, &str); 3] =
        [(TrailList::Own, "s"), (TrailList::Imported, "i"), (TrailList::Operators, "")];

    fn parse(text: &str) -> Result<Self, StoreError> {
        let parsed = Self::LETTERS.into_iter().find_map(|(list, letter)| {
            let id = id_of(text.strip_suffix(letter)?)?;
            Some(Self { id, list })
        });
        parsed.ok_or(NOT_A_PLACE)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = Self::LETTERS.into_iter().find(|(list, _)| *list == self.list);
        write!(f, "{}-{}{}", self.id.0, self.id.1, letter.map_or("", |(_, letter)| letter))
    }
}

/// The id of a stream's entry: milliseconds and a number.
fn id_of(text: &str) -> Option<(u64, u64)> {
    let number =
        |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let (millis, sequence) = text.split_once('-')?;
    Some((number(millis)?, number(sequence)?))
}
