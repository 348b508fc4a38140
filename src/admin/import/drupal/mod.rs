//! Drupal 7's modules tfa and `tfa_basic`: seeds, recovery codes and accepted codes, from an SQL dump or from CSV.
//!
//! The tables, as `tfa_basic` 7.x-1.x has them:
//! - `tfa_totp_seed(uid, seed, created)`: one a user; SHA-1, six digits, 30 seconds always;
//! - `tfa_recovery_code(id, uid, code, used, created)`: `used` is 0 until the code is used;
//! - `tfa_accepted_code(uid, code_hash, time_accepted)`: kept for a day; or `tfa_user_data(uid, name, value)` with the
//!   name `tfa_totp_time_window`, whose value is the last accepted step;
//! - `users(uid, name, …)`.
//!
//! They belong together, and a dump has them in any order, so that they are gathered before the first row: some hundred
//! bytes for each user with a second factor, and the name of every user.

mod cipher;
mod dump;

use std::{
    collections::{HashMap, VecDeque},
    io::BufRead,
};

pub use self::cipher::DrupalKey;
use self::dump::{Dump, DumpRow};
use super::{
    Source,
    csv::Table,
    row::{Entry, IncomingFactor, Row, RowFault, bad, base32, latest_step, parameters, recovery_code},
};
use crate::{
    step_up::TakenCode,
    types::{Secret, UnixTime, limits::TOTP_SECRET_BYTES_TAKEN_OVER_MIN},
};

/// Steps of the future that `tfa_basic` accepts (`tfa_basic_time_skew`, 3 unless it is set).
const AHEAD: u64 = 3;
/// A table, and its columns in their order, for dumps without `CREATE TABLE`.
const TABLES: [(&str, &[&str]); 5] = [
    ("tfa_totp_seed", &["uid", "seed", "created"]),
    ("tfa_recovery_code", &["id", "uid", "code", "used", "created"]),
    ("tfa_accepted_code", &["uid", "code_hash", "time_accepted"]),
    ("tfa_user_data", &["uid", "name", "value"]),
    ("users", &["uid", "name"]),
];

/// What belongs to a dump, or to the CSV of `tfa_totp_seed`.
pub struct DrupalFiles {
    /// What the site encrypted with.
    pub key: DrupalKey,
    /// CSV of `users`: `uid,name`.
    pub users: Option<Source>,
    /// CSV of `tfa_recovery_code`: `uid,code,used`.
    pub recovery_codes: Option<Source>,
    /// CSV of `tfa_accepted_code`: `uid,time_accepted`.
    pub accepted_codes: Option<Source>,
    /// What the names of the tables begin with (`$databases[…]['prefix']`).
    pub table_prefix: String,
}

impl std::fmt::Debug for DrupalFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DrupalFiles").field("table_prefix", &self.table_prefix).finish_non_exhaustive()
    }
}

pub(super) fn rows(files: DrupalFiles, source: Source, skew_steps: u8) -> impl Iterator<Item = Row> + Send {
    let mut unread = Some((files, source));
    let mut site = None;
    std::iter::from_fn(move || {
        if let Some((files, source)) = unread.take() {
            site = Some(Site::read(files, source));
        }
        site.as_mut()?.next_row(skew_steps)
    })
}

struct Seed {
    line: u64,
    uid: u64,
    name: Option<String>,
    secret: Result<Secret<Vec<u8>>, RowFault>,
    created: Option<UnixTime>,
}

/// What a site knows.
struct Site {
    key: DrupalKey,
    seeds: VecDeque<Seed>,
    names: HashMap<u64, Box<str>>,
    codes: HashMap<u64, Vec<TakenCode>>,
    /// When a code was accepted last.
    accepted_at: HashMap<u64, u64>,
    /// The step that was accepted last.
    windows: HashMap<u64, u64>,
    faults: VecDeque<Row>,
}

impl Site {
    fn read(files: DrupalFiles, mut source: Source) -> Self {
        let mut site = Self {
            key: files.key,
            seeds: VecDeque::new(),
            names: HashMap::new(),
            codes: HashMap::new(),
            accepted_at: HashMap::new(),
            windows: HashMap::new(),
            faults: VecDeque::new(),
        };
        let is_csv = source.fill_buf().is_ok_and(is_csv_of_seeds);
        if is_csv {
            site.table(source, "tfa_totp_seed", &["uid", "seed"]);
        } else {
            site.dump(Dump::new(source), &files.table_prefix);
        }
        let others = [
            (files.users, "users", &["uid", "name"][..]),
            (files.recovery_codes, "tfa_recovery_code", &["uid", "code"]),
            (files.accepted_codes, "tfa_accepted_code", &["uid", "time_accepted"]),
        ];
        for (file, table, wanted) in others {
            if let Some(file) = file {
                site.table(file, table, wanted);
            }
        }
        if site.seeds.is_empty() && site.faults.is_empty() {
            let rule = "there is no row of tfa_totp_seed in the file; if the site's tables have a prefix, say \
                        --table-prefix";
            site.faults.push_back(bad(1, RowFault::Rule(rule)));
        }
        site
    }

    fn dump(&mut self, mut dump: Dump<impl BufRead>, prefix: &str) {
        let plain = |table: &str| {
            let name = table.strip_prefix(prefix)?;
            TABLES.into_iter().find(|(known, _)| *known == name)
        };
        loop {
            let DumpRow { line, table, columns, values } = match dump.next_row(|table| plain(table).is_some())
            {
                Ok(Some(row)) => row,
                Ok(None) => return,
                Err(fault) => return self.faults.push_back(bad(0, fault)),
            };
            let Some((name, usual)) = plain(&table) else { continue };
            let get = |column: &str| {
                let at = if columns.is_empty() {
                    usual.iter().position(|known| *known == column)
                } else {
                    columns.iter().position(|known| known == column)
                };
                values.get(at?)?.as_ref().map(|value| value.as_str())
            };
            if let Err(fault) = self.take(line, name, get) {
                self.faults.push_back(bad(line, fault));
            }
        }
    }

    fn table(&mut self, source: Source, name: &'static str, wanted: &[&str]) {
        let fault = |line, fault| bad(line, fault);
        let mut table = match Table::open(source) {
            Ok(table) => table,
            Err(found) => return self.faults.push_back(fault(1, found)),
        };
        if let Some(missing) = wanted.iter().find(|column| !table.has(column)) {
            let rule = "the header line must have this column; nothing of the file was read";
            return self.faults.push_back(fault(1, RowFault::column(&format!("{name}.{missing}"), rule)));
        }
        while let Some(record) = table.next_record() {
            match record {
                Ok(record) => {
                    if let Err(found) = self.take(record.line, name, |column| record.get(column)) {
                        self.faults.push_back(fault(record.line, found));
                    }
                }
                Err((line, found)) => self.faults.push_back(fault(line, found)),
            }
        }
    }

    /// Takes one row of a table.
    fn take<'v>(
        &mut self,
        line: u64,
        table: &str,
        get: impl Fn(&str) -> Option<&'v str>,
    ) -> Result<(), RowFault> {
        let number = |column: &'static str| get(column).and_then(|text| text.trim().parse::<u64>().ok());
        let uid = number("uid").ok_or_else(|| RowFault::column("uid", "must be a number"))?;
        match table {
            "tfa_totp_seed" => {
                let stored = get("seed").unwrap_or_default();
                self.seeds.push_back(Seed {
                    line,
                    uid,
                    name: get("name").map(str::to_owned),
                    secret: self.open(stored),
                    created: number("created").filter(|secs| *secs > 0).map(UnixTime::from_secs),
                });
            }
            "tfa_recovery_code" => {
                if number("used").unwrap_or_default() == 0 {
                    let code = self.open_code(get("code").unwrap_or_default())?;
                    self.codes.entry(uid).or_default().push(code);
                }
            }
            "tfa_accepted_code" => {
                let at = number("time_accepted").unwrap_or_default();
                let latest = self.accepted_at.entry(uid).or_default();
                *latest = at.max(*latest);
            }
            "tfa_user_data" => {
                if let Some(step) = number("value").filter(|_| get("name") == Some("tfa_totp_time_window")) {
                    self.windows.insert(uid, step);
                }
            }
            _ => {
                self.names.insert(uid, get("name").unwrap_or_default().into());
            }
        }
        Ok(())
    }

    fn open(&self, stored: &str) -> Result<Secret<Vec<u8>>, RowFault> {
        let secret = |text: &[u8]| base32(std::str::from_utf8(text).ok()?.trim()).ok();
        let opened = self.key.decrypt(stored);
        let found = opened.iter().find_map(|text| {
            secret(text).filter(|secret| secret.expose().len() >= TOTP_SECRET_BYTES_TAKEN_OVER_MIN)
        });
        found.ok_or(RowFault::Rule(
            "the seed does not open with this key, which must be the site's tfa_basic_secret_key, or else its \
             drupal_private_key",
        ))
    }

    fn open_code(&self, stored: &str) -> Result<TakenCode, RowFault> {
        let opened = self.key.decrypt(stored);
        let found = opened.iter().find_map(|text| recovery_code(text).ok());
        found.ok_or(RowFault::Rule(
            "the recovery code does not open with this key, or has less than 8 characters",
        ))
    }

    fn next_row(&mut self, skew_steps: u8) -> Option<Row> {
        if let Some(fault) = self.faults.pop_front() {
            return Some(fault);
        }
        let seed = self.seeds.pop_front()?;
        let name = seed.name.clone().or_else(|| self.names.get(&seed.uid).map(ToString::to_string));
        let subject = name.filter(|name| !name.is_empty());
        let line = seed.line;
        Some(Row { line, subject: subject.clone(), entry: self.entry(seed, subject, skew_steps) })
    }

    fn entry(&mut self, seed: Seed, subject: Option<String>, skew_steps: u8) -> Result<Entry, RowFault> {
        let secret = seed.secret?;
        let subject = subject.ok_or(RowFault::Rule("the table users has no name for its uid"))?;
        let parameters = parameters(None, None, None, skew_steps)?;
        let accepted = self.accepted_at.get(&seed.uid).map(|at| UnixTime::from_secs(*at));
        let by_time = accepted.map(|at| latest_step(at, parameters, AHEAD));
        Ok(IncomingFactor {
            enrolled_at: seed.created,
            recovery_codes: self.codes.remove(&seed.uid).unwrap_or_default(),
            last_used_step: by_time.max(self.windows.get(&seed.uid).copied()),
            ..IncomingFactor::new(subject, secret, parameters)
        }
        .into_entry())
    }
}

/// Whether a file begins with the header of CSV, and not with SQL.
fn is_csv_of_seeds(start: &[u8]) -> bool {
    let line = start.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line).to_ascii_lowercase();
    line.contains("uid") && line.contains("seed") && line.contains(',') && !line.contains(['(', '`', ';'])
}
