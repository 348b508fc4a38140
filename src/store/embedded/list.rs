//! The names that the embedded store knows, a page at a time.

use rusqlite::{Connection, params};

use super::{super::fields, failed};
use crate::{
    identity::fold_username,
    step_up::{ListCursor, ListPage, ListQuery, StoreError},
};

/// One page, in the order of the names.
pub(super) fn page(connection: &Connection, query: &ListQuery) -> Result<ListPage, StoreError> {
    let after = query.cursor.as_ref().map_or("", |cursor| cursor.0.as_str());
    let containing = query.containing.as_deref().unwrap_or_default();
    let names = || -> rusqlite::Result<Vec<String>> {
        let mut select = connection.prepare_cached(
            "SELECT DISTINCT subject FROM factors WHERE subject > ?1 AND instr(subject, ?2) > 0 \
             ORDER BY subject LIMIT ?3",
        )?;
        let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
        select.query_map(params![after, containing, limit], |row| row.get(0))?.collect()
    };
    let names = names().map_err(failed)?;
    let next = names.last().filter(|_| names.len() >= query.limit).map(|last| ListCursor(last.clone()));
    let mut page = ListPage { names: Vec::with_capacity(names.len()), next };
    for name in names {
        // Nobody can log in by a name that is not folded.
        let Some(folded) = fold_username(&name).ok().filter(|folded| folded.as_str() == name) else {
            continue;
        };
        let fields = super::read_fields(connection, &folded)?;
        page.names.push(fields::summary(folded, &fields));
    }
    Ok(page)
}
