//! The names that have an enrolment, page by page: a `SCAN` of the server, or of each master of a cluster in turn.
//!
//! What is there from the first page to the last is on one of them, once or more often: so says `SCAN`. A key that is
//! moved to another master meanwhile may be missed, for that one may have had its turn.

use super::{
    super::fields::{self, Fields},
    RedisStore, keys,
    link::Link,
    settings::Address,
};
use crate::{
    identity::fold_username,
    step_up::{EditDenial, ListCursor, ListPage, ListQuery, NameSummary, StoreError},
};

/// Keys that one step of a `SCAN` looks at: a millisecond of Redis's time.
const SCANNED_AT_ONCE: usize = 1000;

/// Where a page goes on.
struct Place<'a> {
    /// In a cluster: which master, of all.
    masters: Option<&'a [Address]>,
    cursor: u64,
}

impl<'a> Place<'a> {
    fn parse(cursor: Option<&ListCursor>, masters: Option<&'a [Address]>) -> Result<Self, StoreError> {
        let Some(ListCursor(text)) = cursor else { return Ok(Self { masters, cursor: 0 }) };
        let number = |text: &str| text.parse::<u64>().map_err(|_| EditDenial::BadCursor);
        let Some(masters) = masters else { return Ok(Self { masters, cursor: number(text)? }) };
        let (master, cursor) = text.rsplit_once('/').ok_or(EditDenial::BadCursor)?;
        let cursor = number(cursor)?;
        let master = Address::parse(master).ok_or(EditDenial::BadCursor)?;
        let at = masters.iter().position(|other| *other == master);
        let left = at.and_then(|at| masters.get(at..));
        let left = left.ok_or(EditDenial::OldCursor)?;
        Ok(Self { masters: Some(left), cursor })
    }

    fn master(&self) -> Option<&'a Address> {
        self.masters.and_then(<[Address]>::first)
    }

    /// After a step that ended there. `None`: all was looked at.
    fn after(&self, cursor: u64) -> Option<Self> {
        if cursor != 0 {
            return Some(Self { masters: self.masters, cursor });
        }
        let others = self.masters?.get(1..).filter(|others| !others.is_empty())?;
        Some(Self { masters: Some(others), cursor: 0 })
    }

    fn to_cursor(&self) -> ListCursor {
        ListCursor(match self.master() {
            Some(master) => format!("{master}/{}", self.cursor),
            None => self.cursor.to_string(),
        })
    }
}

impl RedisStore {
    /// One page of names: some steps of a `SCAN`, then the fields' names of each.
    pub(in super::super) async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        let pattern = keys::enrolments_containing(query.containing.as_deref().unwrap_or_default());
        let masters = self.servers.masters().await?;
        let mut place = Place::parse(query.cursor.as_ref(), masters.as_deref())?;
        // What is searched for is rare: then as much as may be is looked at in one step.
        let at_once = match query.containing {
            Some(_) => SCANNED_AT_ONCE,
            None => query.limit.clamp(1, SCANNED_AT_ONCE),
        };
        let mut page = ListPage::default();
        loop {
            let step = async |mut link: Link| {
                let mut scan = redis::cmd("SCAN");
                scan.arg(place.cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(at_once);
                scan.query_async::<(u64, Vec<String>)>(&mut link).await
            };
            let (cursor, found) = self.servers.read_at(place.master(), step).await?;
            page.names.append(&mut self.summaries(&found).await?);
            match place.after(cursor) {
                None => return Ok(page),
                Some(next) => place = next,
            }
            if page.names.len() >= query.limit {
                page.next = Some(place.to_cursor());
                return Ok(page);
            }
        }
    }

    async fn summaries(&self, found: &[String]) -> Result<Vec<NameSummary>, StoreError> {
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let all: Vec<Fields> = self.servers.hashes(found).await?;
        let named = found.iter().zip(&all).filter_map(|(key, fields)| {
            // One that went meanwhile, and a name that is not folded: nobody can log in by it.
            let name = keys::name_of_enrolment(key)?;
            let folded = fold_username(&name).ok().filter(|folded| folded.as_str() == name)?;
            (!fields.is_empty()).then(|| fields::summary(folded, fields))
        });
        Ok(named.collect())
    }
}
