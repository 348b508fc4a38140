//! What Google Authenticator shows when it transfers accounts: `otpauth-migration://offline?data=…`, one URI a line.
//!
//! `data` is base64 of a protobuf message; Google has not published its definition, which is known from the app
//! (`MigrationPayload`, as in github.com/dim13/otpauth and others). Its algorithm 0 is "unspecified": SHA-1.

use std::io::BufRead;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};
use prost::Message;
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    lines::Lines,
    otpauth::{HOTP, account_of},
    row::{Entry, IncomingFactor, Row, RowFault, bad, parameters},
};
use crate::types::Secret;

#[derive(Clone, PartialEq, Message)]
pub(super) struct MigrationPayload {
    #[prost(message, repeated, tag = "1")]
    pub(super) otp_parameters: Vec<OtpParameters>,
}

#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct OtpParameters {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) secret: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(string, tag = "3")]
    pub(super) issuer: String,
    /// 1 SHA-1, 2 SHA-256, 3 SHA-512, 4 MD5.
    #[prost(int32, tag = "4")]
    pub(super) algorithm: i32,
    /// 1 six, 2 eight.
    #[prost(int32, tag = "5")]
    pub(super) digits: i32,
    /// 1 HOTP, 2 TOTP.
    #[prost(int32, tag = "6")]
    pub(super) kind: i32,
}

impl std::fmt::Debug for OtpParameters {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OtpParameters").field("name", &self.name).finish_non_exhaustive()
    }
}

pub(super) fn rows(source: impl BufRead + Send, skew_steps: u8) -> impl Iterator<Item = Row> + Send {
    Lines::new(source).flat_map(move |(line, text)| {
        let read = text.and_then(|text| {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') { Ok(Vec::new()) } else { payload(text) }
        });
        match read {
            Ok(accounts) => accounts
                .into_iter()
                .map(|account| Row { line, subject: None, entry: entry(account, skew_steps) })
                .collect::<Vec<_>>(),
            Err(fault) => vec![bad(line, fault)],
        }
    })
}

fn payload(uri: &str) -> Result<Vec<OtpParameters>, RowFault> {
    let query = uri
        .strip_prefix("otpauth-migration://offline?")
        .ok_or(RowFault::Rule("a line must be otpauth-migration://offline?data=…"))?;
    let data = query.split('&').find_map(|pair| pair.strip_prefix("data="));
    let data = data.ok_or(RowFault::Rule("the URI must have data"))?;
    // Not as a form: some readers of QR codes leave `+` as it is, and a form would make a space of it.
    let decoded = Zeroizing::new(percent_encoding::percent_decode_str(data).collect::<Vec<u8>>());
    let mut text = Zeroizing::new(decoded.iter().copied().filter(|b| *b != b'=').collect::<Vec<u8>>());
    text.iter_mut().filter(|b| **b == b' ').for_each(|b| *b = b'+');
    let bytes = BASE64_NOPAD.decode(&text).or_else(|_| BASE64URL_NOPAD.decode(&text));
    let bytes = Zeroizing::new(bytes.map_err(|_| RowFault::Rule("data must be base64"))?);
    let payload = MigrationPayload::decode(bytes.as_slice())
        .map_err(|_| RowFault::Rule("data must be a transfer of Google Authenticator"))?;
    Ok(payload.otp_parameters)
}

fn entry(mut account: OtpParameters, skew_steps: u8) -> Result<Entry, RowFault> {
    let secret = Secret::new(std::mem::take(&mut account.secret));
    let name = std::mem::take(&mut account.name);
    account.issuer.zeroize();
    match account.kind {
        1 => return Err(HOTP),
        2 => {}
        _ => return Err(RowFault::Rule("the type must be TOTP")),
    }
    let algorithm = match account.algorithm {
        0 | 1 => "SHA1",
        2 => "SHA256",
        3 => "SHA512",
        _ => return Err(RowFault::Rule("the algorithm must be SHA1, SHA256 or SHA512")),
    };
    let digits = match account.digits {
        0 | 1 => "6",
        2 => "8",
        _ => return Err(RowFault::Rule("digits must be six or eight")),
    };
    let parameters = parameters(Some(algorithm), Some(digits), None, skew_steps)?;
    Ok(IncomingFactor::new(account_of(&name), secret, parameters).into_entry())
}
