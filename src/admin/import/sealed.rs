//! What `tfa-gateway export` writes, sealed: a line in clear that names the file, then one sealed line for each factor
//! and alias, and one that says that the file ends there.
//!
//! Invariants: a line opens only in its file and at its place, so that none can be taken out, moved, or added; a file
//! without its last line was cut off, and that is a bad row.

use std::io::BufRead;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    lines::Lines,
    row::{Entry, IncomingFactor, Row, RowFault, bad},
};
use crate::{
    factor::totp::{Algorithm, TotpParameters, decode_base32},
    sealing::KeyRing,
    step_up::TakenCode,
    store::envelope,
    types::{FactorId, Secret, UnixTime},
};

/// The first line, in clear.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    /// The version: 1.
    pub(crate) tfa_gateway_export: u8,
    /// A random name of this file.
    pub(crate) file: String,
}

/// Every other line, before it is sealed.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Line {
    Factor(SealedFactor),
    Alias(SealedAlias),
    End(End),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct SealedFactor {
    pub(crate) subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    pub(crate) secret: Zeroizing<String>,
    pub(crate) alg: String,
    pub(crate) digits: u8,
    pub(crate) period: u32,
    pub(crate) skew: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enrolled_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_used_step: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) recovery_codes: Vec<SealedCode>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct SealedCode {
    pub(crate) id: String,
    /// Base64 of the salt and the digest.
    pub(crate) digest: Zeroizing<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct SealedAlias {
    pub(crate) alias: String,
    pub(crate) subject: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct End {
    /// How many lines there were before this one, the first included.
    pub(crate) lines: u64,
}

/// What a sealed line is bound to: its file, and its number.
pub(crate) fn bound(file: &str, line: u64) -> Vec<u8> {
    envelope::associated_data(&[b"tfa-gateway export v1", file.as_bytes(), &line.to_be_bytes()])
}

pub(super) fn rows(source: impl BufRead + Send, ring: KeyRing) -> impl Iterator<Item = Row> + Send {
    let mut lines = Lines::new(source);
    let mut state = State::Begins;
    let (mut last, mut is_closed) = (0, false);
    std::iter::from_fn(move || {
        loop {
            let Some((number, text)) = lines.next() else {
                let was = std::mem::replace(&mut state, State::Ended);
                // Of a last line that does not open it was said why; it may be the end.
                return (!matches!(was, State::Ended) && !is_closed).then(|| {
                    bad(
                        last + 1,
                        RowFault::Rule("the file ends too early: what came after this line is missing"),
                    )
                });
            };
            last = number;
            let read = text.and_then(|text| state.read(&ring, number, &text));
            is_closed = matches!(read, Err(RowFault::Sealed(_)));
            match read {
                Ok(None) => {}
                Ok(Some(entry)) => return Some(Row { line: number, subject: None, entry: Ok(entry) }),
                Err(fault) => {
                    if matches!(state, State::Begins) {
                        state = State::Ended;
                        lines.stop();
                    }
                    return Some(bad(number, fault));
                }
            }
        }
    })
}

enum State {
    Begins,
    File(String),
    Ended,
}

impl State {
    fn read(&mut self, ring: &KeyRing, number: u64, text: &str) -> Result<Option<Entry>, RowFault> {
        match self {
            Self::Begins => {
                let header: Header = serde_json::from_str(text).map_err(|_| {
                    RowFault::Rule("it must be a file that `tfa-gateway export` wrote sealed")
                })?;
                if header.tfa_gateway_export != 1 {
                    return Err(RowFault::Rule(
                        "the file must have version 1: a newer gateway may have written it",
                    ));
                }
                *self = Self::File(header.file);
                Ok(None)
            }
            Self::Ended => Err(RowFault::Rule("nothing may follow the line that ends the file")),
            Self::File(file) => {
                let sealed = envelope::read(text.as_bytes())
                    .map_err(|_| RowFault::Rule("it must be a sealed line"))?;
                let plain = ring.open(&bound(file, number), &sealed)?;
                let line: Line = serde_json::from_slice(plain.expose()).map_err(|_| {
                    RowFault::Rule("a newer gateway wrote it: this one does not know such a line")
                })?;
                match line {
                    Line::Factor(factor) => entry(factor).map(Some),
                    Line::Alias(SealedAlias { alias, subject }) => Ok(Some(Entry::Alias { alias, subject })),
                    Line::End(_) => {
                        *self = Self::Ended;
                        Ok(None)
                    }
                }
            }
        }
    }
}

fn entry(line: SealedFactor) -> Result<Entry, RowFault> {
    let algorithm = Algorithm::parse(&line.alg).ok_or(RowFault::Rule("the algorithm is not known"))?;
    let parameters = TotpParameters::new(algorithm, line.digits, line.period, line.skew)?;
    let secret = decode_base32(&line.secret).ok_or(RowFault::Rule("the secret must be base32"))?;
    let id = |text: &str| {
        FactorId::parse(text).map_err(|_| RowFault::Rule("an id is 1 to 32 of a-z, 0-9, '-' and '_'"))
    };
    let code = |code: &SealedCode| {
        let digest = data_encoding::BASE64.decode(code.digest.as_bytes());
        let digest = digest.map_err(|_| RowFault::Rule("a digest must be base64"))?;
        Ok(TakenCode::Digest(id(&code.id)?, Secret::new(digest)))
    };
    Ok(IncomingFactor {
        id: line.id.as_deref().map(id).transpose()?,
        label: line.label,
        enrolled_at: line.enrolled_at.map(UnixTime::from_secs),
        recovery_codes: line.recovery_codes.iter().map(code).collect::<Result<_, RowFault>>()?,
        last_used_step: line.last_used_step,
        ..IncomingFactor::new(line.subject, secret, parameters)
    }
    .into_entry())
}
