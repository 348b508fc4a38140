//! CSV of our own: a header line with `subject` and `secret`, and as many of the others as are known.
//!
//! `subject,secret,algorithm,digits,period,label,recovery_codes,enrolled_at`, in any order. Quoting is RFC 4180's.

use std::io::BufRead;

use super::row::{Entry, IncomingFactor, Row, RowFault, bad, base32, parameters, recovery_code, time};

const COLUMNS: [&str; 8] =
    ["subject", "secret", "algorithm", "digits", "period", "label", "recovery_codes", "enrolled_at"];

/// The records of a CSV file, each with its line, after a header that was looked at.
pub(super) struct Table<R> {
    reader: csv::Reader<R>,
    header: Vec<String>,
    is_over: bool,
}

/// One record.
pub(super) struct Record<'a> {
    pub(super) line: u64,
    /// Line breaks within it.
    breaks: u64,
    header: &'a [String],
    fields: csv::StringRecord,
}

impl Record<'_> {
    /// A column's value, trimmed; `None` if it is empty or not there.
    pub(super) fn get(&self, column: &str) -> Option<&str> {
        let at = self.header.iter().position(|name| name == column)?;
        self.at(at)
    }

    pub(super) fn at(&self, index: usize) -> Option<&str> {
        self.fields.get(index).map(str::trim).filter(|value| !value.is_empty())
    }

    pub(super) fn wanted(&self, column: &'static str) -> Result<&str, RowFault> {
        self.get(column).ok_or_else(|| RowFault::column(column, "must not be empty"))
    }

    /// Refuses one of several lines. RFC 4180 has them between quotation marks, and here they come of one that is not
    /// closed: in what follows it are the secrets of others, and nothing of it may be said.
    pub(super) fn check_lines(self) -> Result<Self, (u64, RowFault)> {
        if self.breaks == 0 {
            return Ok(self);
        }
        Err((self.line, RowFault::Lines { last: self.line + self.breaks }))
    }
}

impl<R: BufRead> Table<R> {
    /// Reads the header.
    pub(super) fn open(source: R) -> Result<Self, RowFault> {
        let mut table = Self::without_header(source);
        let mut header = csv::StringRecord::new();
        table.reader.read_record(&mut header).map_err(|error| fault(&error))?;
        let plain = |name: &str| name.trim_start_matches('\u{feff}').trim().to_ascii_lowercase();
        table.header = header.iter().map(plain).collect();
        Ok(table)
    }

    /// Takes the first line as a record.
    pub(super) fn without_header(source: R) -> Self {
        let mut builder = csv::ReaderBuilder::new();
        let reader = builder.has_headers(false).flexible(true).from_reader(source);
        Self { reader, header: Vec::new(), is_over: false }
    }

    pub(super) fn has(&self, column: &str) -> bool {
        self.header.iter().any(|name| name == column)
    }

    /// The next record, and the line of one that cannot be read.
    pub(super) fn next_record(&mut self) -> Option<Result<Record<'_>, (u64, RowFault)>> {
        if self.is_over {
            return None;
        }
        let mut fields = csv::StringRecord::new();
        match self.reader.read_record(&mut fields) {
            Ok(false) => None,
            Ok(true) => {
                // The reader counts empty lines before a record as its beginning.
                let breaks = fields.iter().flat_map(str::bytes).filter(|b| *b == b'\n').count() as u64;
                let at_most = self.reader.position().line().saturating_sub(1 + breaks);
                let line = fields.position().map_or(0, csv::Position::line).max(at_most);
                Some(Ok(Record { line, breaks, header: &self.header, fields }))
            }
            Err(error) => {
                self.is_over = error.is_io_error();
                let line =
                    error.position().map_or_else(|| self.reader.position().line(), csv::Position::line);
                Some(Err((line, fault(&error))))
            }
        }
    }
}

fn fault(error: &csv::Error) -> RowFault {
    match error.kind() {
        csv::ErrorKind::Io(error) => RowFault::Read(error.kind().into()),
        csv::ErrorKind::Utf8 { .. } => RowFault::Rule("a line must be UTF-8"),
        _ => RowFault::Rule("it must be CSV (RFC 4180)"),
    }
}

pub(super) fn rows(source: impl BufRead + Send, skew_steps: u8) -> impl Iterator<Item = Row> + Send {
    let (mut table, mut header_fault) = match Table::open(source).and_then(checked) {
        Ok(table) => (Some(table), None),
        Err(fault) => (None, Some(fault)),
    };
    std::iter::from_fn(move || {
        if let Some(fault) = header_fault.take() {
            return Some(bad(1, fault));
        }
        Some(match table.as_mut()?.next_record()?.and_then(Record::check_lines) {
            Ok(record) if record.fields.len() > record.header.len() => {
                bad(record.line, RowFault::Rule("it has more fields than the header line has columns"))
            }
            Ok(record) => {
                let subject = record.get("subject").map(str::to_owned);
                Row { line: record.line, subject, entry: entry(&record, skew_steps) }
            }
            Err((line, fault)) => bad(line, fault),
        })
    })
}

fn checked<R: BufRead>(table: Table<R>) -> Result<Table<R>, RowFault> {
    if let Some(unknown) = table.header.iter().find(|name| !COLUMNS.contains(&name.as_str())) {
        let shown = unknown.chars().filter(|c| !c.is_control()).take(32).collect::<String>();
        return Err(RowFault::column(&shown, "no such column is known; nothing of the file was read"));
    }
    match ["subject", "secret"].into_iter().find(|column| !table.has(column)) {
        Some(column) => Err(RowFault::column(
            column,
            "the header line must have this column; nothing of the file was read",
        )),
        None => Ok(table),
    }
}

fn entry(record: &Record<'_>, skew_steps: u8) -> Result<Entry, RowFault> {
    let parameters =
        parameters(record.get("algorithm"), record.get("digits"), record.get("period"), skew_steps)?;
    let subject = record.wanted("subject")?.to_owned();
    let secret = base32(record.wanted("secret")?)?;
    let codes = record.get("recovery_codes").unwrap_or_default().split(';');
    let codes =
        codes.map(str::trim).filter(|code| !code.is_empty()).map(|code| recovery_code(code.as_bytes()));
    let enrolled_at = record.get("enrolled_at").map(|text| {
        time(text).ok_or_else(|| {
            RowFault::column("enrolled_at", "must be Unix seconds, or as 2026-01-31T09:00:00Z")
        })
    });
    Ok(IncomingFactor {
        label: record.get("label").map(str::to_owned),
        recovery_codes: codes.collect::<Result<_, _>>()?,
        enrolled_at: enrolled_at.transpose()?,
        ..IncomingFactor::new(subject, secret, parameters)
    }
    .into_entry())
}
