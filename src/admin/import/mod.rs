//! What other systems export, read row by row.
//!
//! Invariants: a row that cannot be read is a value with its line and its reason, and never stops the next one; a
//! reason names the rule and nothing of a secret; rows are read as they are asked for, so that memory does not grow
//! with the file (but for Drupal, whose tables belong together).

mod authelia;
mod csv;
mod drupal;
mod google;
mod lines;
mod otpauth;
mod privacyidea;
mod row;
mod sealed;
mod yaml;

#[cfg(test)]
mod tests;

use std::io::BufRead;

pub(super) use self::sealed::{End, Header, Line, SealedAlias, SealedCode, SealedFactor, bound};
pub use self::{
    drupal::{DrupalFiles, DrupalKey},
    row::{Entry, IncomingFactor, Row, RowFault},
};
use crate::sealing::KeyRing;

/// Where rows come from: a file, or standard input.
pub type Source = Box<dyn BufRead + Send>;
/// Rows in the order of the file.
pub type Rows = Box<dyn Iterator<Item = Row> + Send>;

/// How a file is to be read.
#[derive(Debug)]
pub enum Format {
    /// The tables of Drupal 7's modules tfa and `tfa_basic`, as a dump or as CSV.
    Drupal(DrupalFiles),
    /// What `authelia storage user totp export` writes: YAML, or its CSV.
    Authelia,
    /// What `pi-tokenjanitor find export` writes: YAML or CSV.
    Privacyidea,
    /// Key URIs, one a line.
    Otpauth,
    /// What Google Authenticator shows as QR codes, one URI a line.
    Google,
    /// CSV with a header line of our own.
    Csv,
    /// What `tfa-gateway export` wrote with one of these keys.
    Sealed(Box<KeyRing>),
}

/// Begins to read. `skew_steps` is for all formats that do not say it.
pub fn rows(format: Format, source: Source, skew_steps: u8) -> Rows {
    match format {
        Format::Drupal(files) => Box::new(drupal::rows(files, source, skew_steps)),
        Format::Authelia => authelia::rows(source, skew_steps),
        Format::Privacyidea => privacyidea::rows(source, skew_steps),
        Format::Otpauth => Box::new(otpauth::rows(source, skew_steps)),
        Format::Google => Box::new(google::rows(source, skew_steps)),
        Format::Csv => Box::new(csv::rows(source, skew_steps)),
        Format::Sealed(ring) => Box::new(sealed::rows(source, *ring)),
    }
}
