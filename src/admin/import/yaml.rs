//! The items of the first list of a YAML file, one at a time.
//!
//! The file is cut where the dashes of that list stand, and each item is parsed by itself: one that is broken is one
//! bad row, and a long list takes no more memory than its longest item. Lists in brackets are not read.

use std::io::BufRead;

use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::{
    RowFault,
    lines::Lines,
    row::{Entry, Row},
};
use crate::types::limits::IMPORT_VALUE_BYTES_MAX;

/// Reads each item as a `T`, and that as a row.
pub(super) fn rows<T: DeserializeOwned>(
    source: impl BufRead + Send,
    subject: impl Fn(&T) -> Option<String> + Send,
    entry: impl Fn(T) -> Result<Entry, RowFault> + Send,
) -> impl Iterator<Item = Row> + Send {
    let mut items = Items { lines: Lines::new(source), indent: None, open: None, found: 0, is_over: false };
    std::iter::from_fn(move || {
        let (line, text) = items.next_item()?;
        let mut whose = None;
        let parse = |text: Zeroizing<String>| {
            let mut list: Vec<T> = serde_saphyr::from_str(&text).map_err(|_| {
                RowFault::Rule("the entry does not have the members of this export, or it is no YAML")
            })?;
            let item = list.pop().ok_or(RowFault::Rule("the entry is empty"))?;
            whose = subject(&item);
            entry(item)
        };
        let entry = text.and_then(parse);
        Some(Row { line, subject: whose, entry })
    })
}

struct Items<R> {
    lines: Lines<R>,
    /// Where the dashes stand.
    indent: Option<usize>,
    /// The item that is being read, and its first line.
    open: Option<(u64, Zeroizing<String>)>,
    found: u64,
    is_over: bool,
}

impl<R: BufRead> Items<R> {
    fn next_item(&mut self) -> Option<(u64, Result<Zeroizing<String>, RowFault>)> {
        while !self.is_over {
            let Some((number, line)) = self.lines.next() else {
                self.is_over = true;
                break;
            };
            let line = match line {
                Ok(line) => line,
                Err(fault) => return Some((number, Err(fault))),
            };
            let body = line.trim_start();
            let indent = line.len() - body.len();
            let begins = (body == "-" || body.starts_with("- ")) && self.indent.is_none_or(|at| at == indent);
            if begins {
                self.indent = Some(indent);
                self.found += 1;
                let before = self.open.replace((number, Zeroizing::new(format!("{}\n", *line))));
                if let Some((first, text)) = before {
                    return Some((first, Ok(text)));
                }
            } else if body.is_empty() || body.starts_with('#') {
                // Nothing.
            } else if self.indent.is_some_and(|at| indent <= at && !body.starts_with("- ")) {
                // The list has ended; what follows is none of ours.
                self.is_over = true;
            } else if let Some((first, text)) = &mut self.open {
                if text.len() + line.len() > IMPORT_VALUE_BYTES_MAX {
                    let first = *first;
                    self.open = None;
                    return Some((first, Err(RowFault::Rule("an entry may have at most 64 KiB"))));
                }
                text.push_str(&line);
                text.push('\n');
            } else if body.ends_with("[]") {
                self.found += 1;
            }
        }
        if let Some((first, text)) = self.open.take() {
            return Some((first, Ok(text)));
        }
        (std::mem::replace(&mut self.found, 1) == 0)
            .then_some((1, Err(RowFault::Rule("there is no list of entries in the file"))))
    }
}
