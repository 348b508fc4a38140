//! The audit trail in Redis, and the audit events of grants: a capped stream each.

use std::collections::HashMap;

use super::{super::trail_record, RedisStore, keys};
use crate::{
    step_up::{EditDenial, StoreError, TrailPage, TrailQuery},
    types::limits::{AUDIT_EVENTS_MAX, TRAIL_EVENTS_MAX},
};

/// The one field of an entry.
const EVENT: &str = "event";
/// Entries that are read at once.
const READ_AT_ONCE: usize = 500;

type Entry = (String, HashMap<String, Vec<u8>>);

impl RedisStore {
    pub(in super::super) async fn append_event(&self, record: &str) -> Result<(), StoreError> {
        self.add(keys::TRAIL, TRAIL_EVENTS_MAX, record).await
    }

    pub(in super::super) async fn keep_event(&self, event: &str) -> Result<(), StoreError> {
        self.add(keys::EVENTS, AUDIT_EVENTS_MAX, event).await
    }

    /// Adds an entry to a stream; the oldest go, approximately.
    async fn add(&self, stream: &str, entries_max: i64, event: &str) -> Result<(), StoreError> {
        let add = async |mut c| {
            let mut add = redis::cmd("XADD");
            add.arg(stream).arg("MAXLEN").arg("~").arg(entries_max).arg("*").arg(EVENT).arg(event);
            add.exec_async(&mut c).await
        };
        self.servers.write(stream, add).await
    }

    /// The latest first; those of other subjects are passed over.
    pub(in super::super) async fn trail(&self, query: &TrailQuery) -> Result<TrailPage, StoreError> {
        let mut page = TrailPage::default();
        if query.before.as_deref().is_some_and(|before| !is_id(before)) {
            return Err(EditDenial::BadPlace.into());
        }
        let mut before = query.before.as_ref().map_or_else(|| "+".to_owned(), |before| format!("({before}"));
        loop {
            let entries: Vec<Entry> = self
                .servers
                .read(keys::TRAIL, async |mut c| {
                    let mut range = redis::cmd("XREVRANGE");
                    range.arg(keys::TRAIL).arg(&before).arg("-").arg("COUNT").arg(READ_AT_ONCE);
                    range.query_async(&mut c).await
                })
                .await?;
            let is_last = entries.len() < READ_AT_ONCE;
            for (id, fields) in entries {
                if page.events.len() == query.limit {
                    return Ok(page);
                }
                let event = trail_record::decode(fields.get(EVENT).map_or(b"", Vec::as_slice))?;
                before = format!("({id}");
                if query.subject.is_none() || query.subject == event.subject {
                    page.next = Some(id);
                    page.events.push(event);
                }
            }
            if is_last {
                page.next = None;
                return Ok(page);
            }
        }
    }
}

/// The id of a stream's entry: milliseconds and a number.
fn is_id(text: &str) -> bool {
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u64>().is_ok();
    text.split_once('-').is_some_and(|(millis, sequence)| number(millis) && number(sequence))
}
