//! A file line by line, each with its number.
//!
//! Invariants: a line has a bound, beyond which it is a fault and not memory; what was read is overwritten.

use std::io::{BufRead, Read as _};

use zeroize::Zeroizing;

use super::RowFault;
use crate::types::limits::IMPORT_VALUE_BYTES_MAX;

/// The lines of a file.
pub(super) struct Lines<R> {
    source: R,
    number: u64,
    is_broken: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(source: R) -> Self {
        Self { source, number: 0, is_broken: false }
    }

    /// Reads no more.
    pub(super) const fn stop(&mut self) {
        self.is_broken = true;
    }

    fn read(&mut self) -> Result<Option<Zeroizing<String>>, RowFault> {
        let limit = IMPORT_VALUE_BYTES_MAX as u64 + 1;
        let mut bytes = Zeroizing::new(Vec::new());
        let read = self.source.by_ref().take(limit).read_until(b'\n', &mut bytes).inspect_err(|_| {
            self.is_broken = true;
        })?;
        if read == 0 {
            return Ok(None);
        }
        if bytes.len() > IMPORT_VALUE_BYTES_MAX && !bytes.ends_with(b"\n") {
            self.skip_line()?;
            return Err(RowFault::Rule("a line may have at most 64 KiB"));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| RowFault::Rule("a line must be UTF-8"))?;
        let text = if self.number == 1 { text.trim_start_matches('\u{feff}') } else { text };
        Ok(Some(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned())))
    }

    fn skip_line(&mut self) -> Result<(), RowFault> {
        loop {
            let piece = self.source.fill_buf().inspect_err(|_| self.is_broken = true)?;
            let end = memchr::memchr(b'\n', piece);
            let length = end.map_or(piece.len(), |end| end + 1);
            self.source.consume(length);
            if end.is_some() || length == 0 {
                return Ok(());
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = (u64, Result<Zeroizing<String>, RowFault>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_broken {
            return None;
        }
        self.number += 1;
        self.read().transpose().map(|line| (self.number, line))
    }
}
