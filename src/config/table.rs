//! One table of a list, `[[key]]`, read with every fault.

use std::path::{Path, PathBuf};

use figment::value::{Dict, Value};

use super::{reader::Reader, watched::WatchedFile};

/// Reads the values of one table, and tells its faults to the reader of the whole.
pub(super) struct TableReader<'r, 'a> {
    reader: &'r mut Reader<'a>,
    key: &'static str,
    place: String,
    dict: Dict,
}

impl<'r, 'a> TableReader<'r, 'a> {
    /// The table at that position of the list `key`.
    pub(super) fn new(reader: &'r mut Reader<'a>, key: &'static str, position: usize, dict: Dict) -> Self {
        Self { reader, key, place: format!("{key}[{position}]"), dict }
    }

    /// Refuses what is not among `keys`; `what` says whose settings they are.
    pub(super) fn knows(&mut self, keys: &[&str], what: &str) {
        let unknown: Vec<String> =
            self.dict.keys().filter(|key| !keys.contains(&key.as_str())).cloned().collect();
        let list = self.place.split('[').next().unwrap_or_default();
        let ends = list.rsplit_once('.').map_or_else(String::new, |(section, _)| {
            format!(" (a table ends [{section}]: what belongs there stands above [[{list}]])")
        });
        for key in &unknown {
            // Its value may be a secret in the wrong place.
            self.told(key, format!("is not a setting of {what}; there are {}{ends}", keys.join(", ")));
        }
    }

    /// Whether a key is there, faulty or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.dict.contains_key(key)
    }

    /// A text that `parse` turns into meaning; `None` when it is absent or faulty.
    pub(super) fn text<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let value = self.dict.get(key)?;
        match value.as_str().ok_or_else(|| "must be a text".to_owned()).and_then(parse) {
            Ok(parsed) => Some(parsed),
            Err(rule) => {
                self.fault(key, &rule);
                None
            }
        }
    }

    /// The path of a file that is read.
    pub(super) fn path(&mut self, key: &str, base: &Path) -> Option<PathBuf> {
        let file = self.text(key, |text| {
            if text.is_empty() { Err("must name a file".to_owned()) } else { Ok(base.join(text)) }
        })?;
        self.reader.depends_on(self.key, WatchedFile::look(file.clone()));
        Some(file)
    }

    /// A list that is there must hold something: an empty one would match nothing, or be taken for "any".
    pub(super) fn list<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        let value = self.dict.get(key)?;
        let items = value.as_array().filter(|items| !items.is_empty());
        let parsed =
            items.ok_or_else(|| "must be a list of texts, with one at least".to_owned()).and_then(|items| {
                let texts =
                    items.iter().map(|item| item.as_str().ok_or_else(|| "must hold texts only".to_owned()));
                texts.map(|text| text.and_then(&parse)).collect::<Result<Vec<T>, String>>()
            });
        match parsed {
            Ok(parsed) => Some(parsed),
            Err(rule) => {
                self.fault(key, &rule);
                None
            }
        }
    }

    /// A text that is not shown if it is faulty, for it may be a secret.
    pub(super) fn hidden_text<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.dict.get(key)?;
        match value.as_str().ok_or_else(|| "must be a text".to_owned()).and_then(parse) {
            Ok(parsed) => Some(parsed),
            Err(rule) => {
                self.told(key, rule);
                None
            }
        }
    }

    /// Adds a fault of one of its keys, with the value if that is a text.
    pub(super) fn fault(&mut self, key: &str, rule: &str) {
        let value = self.dict.get(key).and_then(Value::as_str).map(str::to_owned);
        let rule = value.map_or_else(|| rule.to_owned(), |value| format!("{rule}, but it is '{value}'"));
        self.told(key, rule);
    }

    fn told(&mut self, key: &str, rule: String) {
        self.reader.contradiction(&format!("{}.{key}", self.place), rule);
    }
}
