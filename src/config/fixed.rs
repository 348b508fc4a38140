//! What a running gateway cannot change: its listeners, its store, and who writes its log.

use std::{collections::BTreeMap, fmt};

use data_encoding::HEXLOWER;
use figment::{Figment, value::Value};
use sha2::{Digest as _, Sha256};

use super::watched::WatchedFile;

/// Sections and keys. Whatever is not below one of them is taken over at once.
const FIXED: [&str; 9] = [
    "listen.address",
    "listen.threads",
    "admin.address",
    "store",
    "sealing",
    "revocation",
    "log",
    "audit",
    "otlp",
];
/// What is below one of them and is taken over even so.
const LIVE: [&str; 1] = ["store.plain_secrets"];

/// The values of those settings.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Fixed(BTreeMap<String, String>);

impl fmt::Debug for Fixed {
    /// Without the values, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Fixed {
    /// What is in the files that those settings name counts as their value.
    pub(super) fn of(figment: &Figment, files: &[(&'static str, WatchedFile)]) -> Self {
        let mut values = BTreeMap::new();
        for key in FIXED {
            if let Ok(value) = figment.find_value(key) {
                collect(key, &value, &mut values);
            }
        }
        for (key, file) in files.iter().filter(|(key, _)| is_fixed(key)) {
            let content = std::fs::read(file.path()).map(Sha256::digest).unwrap_or_default();
            values.entry((*key).to_owned()).or_default().push_str(&HEXLOWER.encode(&content));
        }
        for key in LIVE {
            values.remove(key);
        }
        Self(values)
    }

    /// The keys whose values are others, or are there in one of them only.
    pub fn changed_from(&self, other: &Self) -> Vec<String> {
        let mut keys: Vec<String> = self
            .0
            .keys()
            .chain(other.0.keys())
            .filter(|key| self.0.get(*key) != other.0.get(*key))
            .cloned()
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

fn is_fixed(key: &str) -> bool {
    let is_below = |section: &str| key.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'));
    FIXED.iter().any(|section| key == *section || is_below(section))
}

fn collect(key: &str, value: &Value, values: &mut BTreeMap<String, String>) {
    if let Some(section) = value.as_dict() {
        for (name, value) in section {
            collect(&format!("{key}.{name}"), value, values);
        }
    } else {
        values.insert(key.to_owned(), serde_json::to_string(value).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{LEAST, read};

    #[test]
    fn what_takes_a_restart_is_named_and_not_shown() {
        let one = read(LEAST).unwrap();
        let two = read(&format!("{}\nplain_secrets = true\n[log]\nlevel = 'debug'\n[listen]\nthreads = 3\nheader_timeout_secs = 5\n",
            LEAST.replace("embedded:x.db", "embedded:hunter22.db"))).unwrap();
        assert_eq!(two.fixed.changed_from(&one.fixed), ["listen.threads", "log.level", "store.url"]);
        assert_eq!(one.fixed.changed_from(&two.fixed).len(), 3);
        assert!(one.fixed.changed_from(&one.fixed).is_empty());
        assert!(!format!("{:?}", two.fixed).contains("hunter22"));
    }

    #[test]
    fn another_secret_in_a_file_is_another_value() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        let text = format!(
            "[upstream]\nurl = 'http://127.0.0.1:8000'\n[sealing]\nkey_file = 'x.keys'\n\
             [store]\nurl = 'redis://127.0.0.1'\nusername = 'gateway'\npassword_file = '{}'\n",
            file.display()
        );
        let [one, same, other] = ["hunter22", "hunter22", "hunter23"].map(|secret| {
            std::fs::write(&file, secret).unwrap();
            read(&text).unwrap()
        });
        assert!(same.fixed.changed_from(&one.fixed).is_empty());
        assert_eq!(other.fixed.changed_from(&one.fixed), ["store.password_file"]);
        assert_eq!(one.files.len(), 1);
    }
}
