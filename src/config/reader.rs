//! Reads values by key, and gathers every fault instead of stopping at the first.

use std::{
    collections::BTreeSet,
    fmt,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    value::{Dict, Value},
};

use super::watched::WatchedFile;

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key, as `section.key`.
    pub key: String,
    /// What it must be.
    pub rule: String,
    /// What it is, unless that may be a secret.
    pub value: Option<String>,
    /// The file or variable that it comes from.
    pub source: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.rule)?;
        if let Some(value) = &self.value {
            write!(f, ", but it is {value}")?;
        }
        if let Some(source) = &self.source {
            write!(f, " (from {source})")?;
        }
        Ok(())
    }
}

/// Walks the merged configuration.
pub(super) struct Reader<'a> {
    figment: &'a Figment,
    known: BTreeSet<&'static str>,
    faults: Vec<Fault>,
    files: Vec<(&'static str, WatchedFile)>,
}

/// Whether a value may hold a password, and is never shown: every URL may.
fn may_hold_a_password(key: &str) -> bool {
    key.ends_with("url")
}

impl<'a> Reader<'a> {
    pub(super) const fn new(figment: &'a Figment) -> Self {
        Self { figment, known: BTreeSet::new(), faults: Vec::new(), files: Vec::new() }
    }

    /// A text that `parse` turns into meaning; `None` when it is absent or faulty.
    pub(super) fn text<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.find(key)?;
        let parsed = match &value {
            Value::String(_, text) => parse(text),
            // An environment variable that looks like a number is still the text that was written.
            Value::Num(..) | Value::Char(..) | Value::Bool(..) => parse(&shown(&value).unwrap_or_default()),
            _ => Err("must be a text".into()),
        };
        self.keep(key, &value, parsed)
    }

    /// The path of a file that is read; relative ones are relative to `base`.
    pub(super) fn path(&mut self, key: &'static str, base: &Path) -> Option<PathBuf> {
        self.file(key, base, |path| Ok(path.to_owned()))
    }

    /// What `read` makes of a file.
    pub(super) fn file<T>(
        &mut self,
        key: &'static str,
        base: &Path,
        read: impl FnOnce(&Path) -> Result<T, String>,
    ) -> Option<T> {
        let mut file = None;
        let found = self.text(key, |text| {
            if text.is_empty() {
                return Err("must name a file".to_owned());
            }
            read(file.insert(WatchedFile::look(base.join(text))).path())
        });
        self.files.extend(file.map(|file| (key, file)));
        found
    }

    /// A further file that the configuration depends on, named below that key.
    pub(super) fn depends_on(&mut self, key: &'static str, file: WatchedFile) {
        self.files.push((key, file));
    }

    /// The files that the configuration depends on, by key: what is in them is part of it.
    pub(super) fn files(&self) -> &[(&'static str, WatchedFile)] {
        &self.files
    }

    /// A text that must be there.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        rule: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if self.find(key).is_none() {
            self.contradiction(key, rule);
            return None;
        }
        self.text(key, parse)
    }

    /// A whole number within bounds, or the default.
    pub(super) fn number<N: TryFrom<u128> + Copy>(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<u64>,
        default: N,
    ) -> N {
        let Some(value) = self.find(key) else { return default };
        let parsed = whole_number(&value)
            .filter(|n| u64::try_from(*n).is_ok_and(|n| bounds.contains(&n)))
            .and_then(|n| N::try_from(n).ok())
            .ok_or_else(|| format!("must be a whole number from {} to {}", bounds.start(), bounds.end()));
        self.keep(key, &value, parsed).unwrap_or(default)
    }

    /// `true` or `false`, or the default.
    pub(super) fn switch(&mut self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.find(key) else { return default };
        let parsed = value.to_bool().ok_or_else(|| "must be true or false".to_owned());
        self.keep(key, &value, parsed).unwrap_or(default)
    }

    /// A list of texts, each of which `parse` turns into meaning; `None` when it is absent.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let value = self.find(key)?;
        let Some(items) = value.as_array() else {
            self.keep::<()>(
                key,
                &value,
                Err("must be a list of texts, such as [\"password\"], in an environment variable too".into()),
            );
            return None;
        };
        let parsed = items.iter().filter_map(|item| {
            let parsed = item.as_str().ok_or_else(|| "must hold texts only".to_owned()).and_then(&parse);
            self.keep(key, item, parsed)
        });
        Some(parsed.collect())
    }

    /// The tables of a list, `[[key]]`. What is in them is for whoever asked to read, and to know.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Dict> {
        let Some(value) = self.find(key) else { return Vec::new() };
        let tables = value.as_array().map(|items| items.iter().map(|item| item.as_dict().cloned()).collect());
        let parsed = match tables {
            Some(Some(tables)) => Ok(tables),
            _ => Err(format!("must be a list of tables, [[{key}]]")),
        };
        self.keep(key, &value, parsed).unwrap_or_default()
    }

    /// Whether a key is there, faulty or not.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.figment.find_value(key).is_ok()
    }

    /// Adds a fault that concerns more than one value.
    pub(super) fn contradiction(&mut self, key: &str, rule: impl Into<String>) {
        self.faults.push(Fault { key: key.into(), rule: rule.into(), value: None, source: None });
    }

    /// Whether all is well so far.
    pub(super) const fn is_faultless(&self) -> bool {
        self.faults.is_empty()
    }

    /// All faults, with every key that nobody asked for.
    pub(super) fn finish(mut self) -> Vec<Fault> {
        match self.figment.extract::<Dict>() {
            Ok(all) => {
                let mut unknown = Vec::new();
                self.collect_unknown(&all, "", &mut unknown);
                self.faults.append(&mut unknown);
            }
            Err(errors) => {
                for error in errors {
                    let source = error.metadata.as_ref().map(described);
                    let key = error.path.join(".");
                    let key = if key.is_empty() { "the configuration".to_owned() } else { key };
                    let fault =
                        Fault { key, rule: format!("cannot be read: {}", error.kind), value: None, source };
                    self.faults.push(fault);
                }
            }
        }
        self.faults
    }

    fn collect_unknown(&self, dict: &Dict, prefix: &str, unknown: &mut Vec<Fault>) {
        for (name, value) in dict {
            let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            if self.known.contains(key.as_str()) {
                continue;
            }
            let section = format!("{key}.");
            match value {
                Value::Dict(_, inner) if self.known.iter().any(|k| k.starts_with(&section)) => {
                    self.collect_unknown(inner, &key, unknown);
                }
                _ => {
                    let rule = match self.nearest(&key) {
                        Some(near) => format!("is not a setting; did you mean '{near}'?"),
                        None => "is not a setting".to_owned(),
                    };
                    let source = self.figment.get_metadata(value.tag()).map(described);
                    unknown.push(Fault { key, rule, value: None, source });
                }
            }
        }
    }

    /// A known key of which the unknown one may be a misspelling.
    fn nearest(&self, key: &str) -> Option<&'static str> {
        let distance = |known: &str| edit_distance(key.as_bytes(), known.as_bytes());
        self.known.iter().copied().min_by_key(|known| distance(known)).filter(|known| distance(known) <= 3)
    }

    fn find(&mut self, key: &'static str) -> Option<Value> {
        self.known.insert(key);
        self.figment.find_value(key).ok()
    }

    fn keep<T>(&mut self, key: &'static str, value: &Value, parsed: Result<T, String>) -> Option<T> {
        match parsed {
            Ok(parsed) => Some(parsed),
            Err(rule) => {
                let value_shown = if may_hold_a_password(key) { None } else { shown(value) };
                let source = self.figment.get_metadata(value.tag()).map(described);
                self.faults.push(Fault { key: key.into(), rule, value: value_shown, source });
                None
            }
        }
    }
}

fn whole_number(value: &Value) -> Option<u128> {
    let Value::Num(_, number) = value else { return None };
    number.to_u128().or_else(|| number.to_i128().and_then(|n| u128::try_from(n).ok()))
}

fn described(metadata: &figment::Metadata) -> String {
    match metadata.source.as_ref().and_then(figment::Source::file_path) {
        Some(path) => path.display().to_string(),
        None => metadata.name.clone().into_owned(),
    }
}

fn shown(value: &Value) -> Option<String> {
    Some(match value {
        Value::String(_, text) => format!("'{text}'"),
        Value::Char(_, c) => format!("'{c}'"),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(_, number) => match (number.to_u128(), number.to_i128()) {
            (Some(n), _) => n.to_string(),
            (None, Some(n)) => n.to_string(),
            (None, None) => number.to_f64()?.to_string(),
        },
        Value::Dict(..) => "a section".to_owned(),
        Value::Array(..) => "a list".to_owned(),
        Value::Empty(..) => "empty".to_owned(),
    })
}

/// Levenshtein's distance.
fn edit_distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(x != y)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}
