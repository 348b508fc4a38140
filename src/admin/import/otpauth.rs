//! Key URIs, one a line: `otpauth://totp/Issuer:account?secret=…` ("Key Uri Format" of the Google Authenticator
//! project), each with `SUBJECT<TAB>` before it if the label's account is not the subject.
//!
//! Empty lines and lines that begin with `#` are passed over.

use std::io::BufRead;

use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::{
    lines::Lines,
    row::{Entry, IncomingFactor, Row, RowFault, base32, parameters},
};

const NOT_A_KEY: RowFault = RowFault::Rule("a line must be otpauth://totp/…, or a subject, a tab and that");
/// A factor whose codes depend on a counter, of which this gateway keeps none.
pub(super) const HOTP: RowFault = RowFault::Rule("HOTP (a counter) is not supported; enrol the person anew");

pub(super) fn rows(source: impl BufRead + Send, skew_steps: u8) -> impl Iterator<Item = Row> + Send {
    Lines::new(source).filter_map(move |(line, text)| {
        let mut subject = None;
        let entry = text.and_then(|text| {
            let text = text.trim();
            subject = text.split_once("\totpauth://").map(|(subject, _)| subject.trim().to_owned());
            // A name may begin with that character, too.
            let is_comment = text.starts_with('#') && !text.contains("\totpauth://");
            if text.is_empty() || is_comment { Ok(None) } else { entry(text, skew_steps).map(Some) }
        });
        entry.transpose().map(|entry| Row { line, subject, entry })
    })
}

fn entry(line: &str, skew_steps: u8) -> Result<Entry, RowFault> {
    let (subject, uri) = match line.split_once('\t') {
        Some((subject, uri)) => (Some(subject.trim()), uri.trim()),
        None => (None, line),
    };
    let scheme = uri.get(..10).ok_or(NOT_A_KEY)?;
    if !scheme.eq_ignore_ascii_case("otpauth://") {
        return Err(NOT_A_KEY);
    }
    let (kind, rest) = uri[10..].split_once('/').ok_or(NOT_A_KEY)?;
    if kind.eq_ignore_ascii_case("hotp") {
        return Err(HOTP);
    }
    if !kind.eq_ignore_ascii_case("totp") {
        return Err(NOT_A_KEY);
    }
    let (label, query) = rest.split_once('?').ok_or(NOT_A_KEY)?;
    let query = query.split_once('#').map_or(query, |(query, _)| query);
    let [mut secret, mut algorithm, mut digits, mut period] = [const { None }; 4];
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let place = match name.to_ascii_lowercase().as_str() {
            "secret" => &mut secret,
            "algorithm" => &mut algorithm,
            "digits" => &mut digits,
            "period" => &mut period,
            "encoder" => {
                return Err(RowFault::Rule("a vendor's own encoder (such as Steam's) is not supported"));
            }
            _ => continue,
        };
        if place.replace(Zeroizing::new(value.into_owned())).is_some() {
            return Err(RowFault::Rule("the URI must name each parameter once"));
        }
    }
    let text = |value: &Option<Zeroizing<String>>| value.as_ref().map(|value| value.to_string());
    let secret = secret.ok_or(RowFault::Rule("the URI must have a secret"))?;
    let parameters = parameters(
        text(&algorithm).as_deref(),
        text(&digits).as_deref(),
        text(&period).as_deref(),
        skew_steps,
    )?;
    let subject = match subject {
        Some(subject) => subject.to_owned(),
        None => account(label)?,
    };
    Ok(IncomingFactor::new(subject, base32(&secret)?, parameters).into_entry())
}

/// The account of a label: what comes after its issuer.
fn account(label: &str) -> Result<String, RowFault> {
    let label =
        percent_decode_str(label).decode_utf8().map_err(|_| RowFault::Rule("the label must be UTF-8"))?;
    Ok(account_of(&label))
}

/// `Issuer:account` and `account` alike.
pub(super) fn account_of(label: &str) -> String {
    label.split_once(':').map_or(label, |(_, account)| account).trim().to_owned()
}
