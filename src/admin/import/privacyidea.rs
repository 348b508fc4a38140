//! What privacyIDEA exports: `pi-tokenjanitor find … export --format yaml` (or `csv`).
//!
//! The YAML is a list of tokens with `owner` (`login@realm`), `type`, `otpkey`, `otplen`, `description` and, in
//! `info_list`, `hashlib` and `timeStep`. The CSV has no header: `owner, serial, otpkey, type, otplen, timeStep`; it
//! does not say the hash, so that SHA-1 is taken. `otpkey` is lower-case hexadecimal, or base32 with `--b32`, which is
//! upper case. (Source: `pitokenjanitor/utils/findtokens.py` of privacyIDEA 3.11.) Its formats `pskc` and `pi` are not
//! read: the first one does not say whose a token is, the second is for privacyIDEA alone.

use std::io::BufRead;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::{
    Rows, Source,
    csv::{Record, Table},
    otpauth::HOTP,
    row::{Entry, IncomingFactor, Row, RowFault, bad, base32, parameters},
    yaml,
};
use crate::types::Secret;

#[derive(Deserialize)]
struct Token {
    owner: String,
    r#type: String,
    otpkey: Zeroizing<String>,
    otplen: Option<String>,
    description: Option<String>,
    info_list: Option<Info>,
}

#[derive(Deserialize, Default)]
struct Info {
    hashlib: Option<String>,
    #[serde(rename = "timeStep")]
    time_step: Option<String>,
}

pub(super) fn rows(mut source: Source, skew_steps: u8) -> Rows {
    let is_yaml = source.fill_buf().is_ok_and(|start| matches!(start.first(), Some(b'-' | b'#' | b'[')));
    if is_yaml {
        return Box::new(yaml::rows(source, whose, move |token| of_yaml(token, skew_steps)));
    }
    let mut table = Table::without_header(source);
    Box::new(std::iter::from_fn(move || {
        Some(match table.next_record()?.and_then(Record::check_lines) {
            Ok(record) => {
                let subject = record.at(0).and_then(|text| owner(text).ok());
                Row { line: record.line, subject, entry: of_csv(&record, skew_steps) }
            }
            Err((line, fault)) => bad(line, fault),
        })
    }))
}

fn whose(token: &Token) -> Option<String> {
    owner(&token.owner).ok()
}

fn of_yaml(token: Token, skew_steps: u8) -> Result<Entry, RowFault> {
    let info = token.info_list.unwrap_or_default();
    let subject = owner(&token.owner)?;
    check_type(&token.r#type)?;
    let parameters =
        parameters(info.hashlib.as_deref(), token.otplen.as_deref(), info.time_step.as_deref(), skew_steps)?;
    Ok(IncomingFactor {
        label: token.description.filter(|text| text != "null"),
        ..IncomingFactor::new(subject, key(&token.otpkey)?, parameters)
    }
    .into_entry())
}

fn of_csv(record: &Record<'_>, skew_steps: u8) -> Result<Entry, RowFault> {
    let wanted = |index, name| record.at(index).ok_or_else(|| RowFault::column(name, "must not be empty"));
    let subject = owner(wanted(0, "owner")?)?;
    check_type(wanted(3, "type")?)?;
    let period = record.at(5).filter(|text| *text != "None");
    let parameters = parameters(None, Some(wanted(4, "otplen")?), period, skew_steps)?;
    Ok(IncomingFactor::new(subject, key(wanted(2, "otpkey")?)?, parameters).into_entry())
}

fn check_type(kind: &str) -> Result<(), RowFault> {
    match kind.to_ascii_lowercase().as_str() {
        "totp" => Ok(()),
        "hotp" => Err(HOTP),
        _ => Err(RowFault::Rule("only tokens of the type totp can be taken over")),
    }
}

/// The login without its realm.
fn owner(text: &str) -> Result<String, RowFault> {
    match text.rsplit_once('@') {
        Some((login, _)) if !login.is_empty() => Ok(login.to_owned()),
        _ => Err(RowFault::Rule("the token has no owner")),
    }
}

fn key(text: &str) -> Result<Secret<Vec<u8>>, RowFault> {
    let text = text.trim();
    if text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes());
        return bytes
            .map(Secret::new)
            .map_err(|_| RowFault::Rule("otpkey must have two digits for each byte"));
    }
    base32(text)
}
