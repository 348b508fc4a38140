//! What Authelia exports: `authelia storage user totp export` (YAML) and `… export csv`.
//!
//! The YAML is `totp_configurations`, a list of `username`, `secret`, `algorithm`, `digits`, `period`, `created_at`,
//! `last_used_at` and `issuer` (schema `exports.totp` of its documentation); `secret` is base64 of the base32 text. The
//! CSV has the header `issuer,username,algorithm,digits,period,secret`, and base32.

use std::io::BufRead;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::{
    Rows, Source,
    csv::{Record, Table},
    row::{Entry, IncomingFactor, Row, RowFault, bad, base32, latest_step, parameters, time},
    yaml,
};

/// Steps of the future that Authelia accepts (`totp.skew`, 1 unless it is set).
const AHEAD: u64 = 1;

#[derive(Deserialize)]
struct Configuration {
    created_at: Option<String>,
    last_used_at: Option<String>,
    username: String,
    algorithm: Option<String>,
    digits: Option<String>,
    period: Option<String>,
    secret: Zeroizing<String>,
}

pub(super) fn rows(mut source: Source, skew_steps: u8) -> Rows {
    let is_csv = source.fill_buf().is_ok_and(|start| start.starts_with(b"issuer,"));
    if !is_csv {
        return Box::new(yaml::rows(
            source,
            |configuration: &Configuration| Some(configuration.username.clone()),
            move |configuration| of_yaml(&configuration, skew_steps),
        ));
    }
    let mut table = match Table::open(source) {
        Ok(table) => table,
        Err(fault) => return Box::new(std::iter::once(bad(1, fault))),
    };
    Box::new(std::iter::from_fn(move || {
        Some(match table.next_record()?.and_then(Record::check_lines) {
            Ok(record) => {
                let subject = record.get("username").map(str::to_owned);
                Row { line: record.line, subject, entry: of_csv(&record, skew_steps) }
            }
            Err((line, fault)) => bad(line, fault),
        })
    }))
}

fn of_yaml(found: &Configuration, skew_steps: u8) -> Result<Entry, RowFault> {
    let (algorithm, digits, period) = (&found.algorithm, &found.digits, &found.period);
    let parameters = parameters(algorithm.as_deref(), digits.as_deref(), period.as_deref(), skew_steps)?;
    let text = data_encoding::BASE64.decode(found.secret.trim().as_bytes()).map(Zeroizing::new);
    let text = text.map_err(|_| RowFault::Rule("the secret must be base64 of its base32 text"))?;
    let text = std::str::from_utf8(&text);
    let secret = base32(text.map_err(|_| RowFault::Rule("the secret must be base64 of its base32 text"))?)?;
    let date = |text: &Option<String>| match text
        .as_deref()
        .filter(|text| *text != "null" && !text.is_empty())
    {
        None => Ok(None),
        Some(text) => time(text).map(Some).ok_or(RowFault::Rule("a date must be as 2026-01-31T09:00:00Z")),
    };
    let last_used = date(&found.last_used_at)?;
    Ok(IncomingFactor {
        enrolled_at: date(&found.created_at)?,
        last_used_step: last_used.map(|at| latest_step(at, parameters, AHEAD)),
        ..IncomingFactor::new(found.username.clone(), secret, parameters)
    }
    .into_entry())
}

fn of_csv(record: &Record<'_>, skew_steps: u8) -> Result<Entry, RowFault> {
    let parameters =
        parameters(record.get("algorithm"), record.get("digits"), record.get("period"), skew_steps)?;
    let subject = record.wanted("username")?.to_owned();
    Ok(IncomingFactor::new(subject, base32(record.wanted("secret")?)?, parameters).into_entry())
}
