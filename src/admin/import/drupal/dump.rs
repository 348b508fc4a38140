//! The rows of a few tables of an SQL dump, as `mysqldump` writes it: `CREATE TABLE` says which columns there are, and
//! `INSERT INTO … VALUES (…),(…);` what is in them.
//!
//! All else is passed over as it streams by. It is no parser of SQL: what it must get right is where texts, names and
//! comments begin and end.

use std::{collections::HashMap, io::BufRead};

use zeroize::Zeroizing;

use super::super::RowFault;
use crate::types::limits::IMPORT_VALUE_BYTES_MAX;

/// A value; `None` is NULL.
pub(super) type Value = Option<Zeroizing<String>>;

/// One row of a table.
pub(super) struct DumpRow {
    pub(super) line: u64,
    pub(super) table: String,
    /// Empty if the dump does not say them.
    pub(super) columns: Vec<String>,
    pub(super) values: Vec<Value>,
}

enum Token {
    /// A word or a number, or a name in backquotes.
    Word {
        text: String,
        quoted: bool,
    },
    Text(Zeroizing<Vec<u8>>),
    Mark(u8),
}

impl Token {
    fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word { text, quoted: false } if text.eq_ignore_ascii_case(word))
    }

    const fn is_mark(&self, mark: u8) -> bool {
        matches!(self, Self::Mark(found) if *found == mark)
    }
}

/// A dump that is being read.
pub(super) struct Dump<R> {
    source: R,
    line: u64,
    columns: HashMap<String, Vec<String>>,
    /// The table whose rows come next, with the columns that the statement names.
    inserting: Option<(String, Vec<String>)>,
}

impl<R: BufRead> Dump<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, line: 1, columns: HashMap::new(), inserting: None }
    }

    /// The next row of a table that is wanted.
    pub(super) fn next_row(&mut self, wanted: impl Fn(&str) -> bool) -> Result<Option<DumpRow>, RowFault> {
        loop {
            if let Some((table, columns)) = self.inserting.clone() {
                if let Some(row) = self.tuple(table, columns)? {
                    return Ok(Some(row));
                }
                self.inserting = None;
            }
            let Some(token) = self.token()? else { return Ok(None) };
            if token.is("INSERT") || token.is("REPLACE") {
                self.insert(&wanted)?;
            } else if token.is("CREATE") {
                self.create(&wanted)?;
            } else if !token.is_mark(b';') {
                self.skip_statement()?;
            }
        }
    }

    fn insert(&mut self, wanted: impl Fn(&str) -> bool) -> Result<(), RowFault> {
        let mut table = None;
        let mut columns = Vec::new();
        while let Some(token) = self.token()? {
            if token.is_mark(b';') {
                return Ok(());
            }
            if token.is("VALUES") || token.is("VALUE") {
                if let Some(table) = table {
                    if columns.is_empty() {
                        columns = self.columns.get(&table).cloned().unwrap_or_default();
                    }
                    self.inserting = Some((table, columns));
                }
                return Ok(());
            }
            match token {
                Token::Word { text, quoted: false }
                    if ["INTO", "IGNORE", "LOW_PRIORITY", "DELAYED"]
                        .iter()
                        .any(|w| text.eq_ignore_ascii_case(w)) => {}
                // `database`.`table` leaves the table.
                Token::Word { text, .. } if columns.is_empty() && table.is_none() => {
                    if !wanted(&text) {
                        return self.skip_statement();
                    }
                    table = Some(text);
                }
                Token::Word { text, .. } => columns.push(text),
                Token::Text(_) | Token::Mark(_) => {}
            }
        }
        Ok(())
    }

    fn create(&mut self, wanted: impl Fn(&str) -> bool) -> Result<(), RowFault> {
        let mut table = None;
        let mut columns = Vec::new();
        let (mut depth, mut begins) = (0_u32, false);
        while let Some(token) = self.token()? {
            match &token {
                Token::Mark(b';') => break,
                Token::Mark(b'(') => {
                    depth += 1;
                    begins = depth == 1;
                    continue;
                }
                Token::Mark(b')') => depth = depth.saturating_sub(1),
                Token::Mark(b',') if depth == 1 => {
                    begins = true;
                    continue;
                }
                Token::Word { text, quoted } if depth == 0 && table.is_none() => {
                    let words = ["TABLE", "IF", "NOT", "EXISTS", "TEMPORARY"];
                    if *quoted || !words.iter().any(|word| text.eq_ignore_ascii_case(word)) {
                        if !wanted(text) {
                            return self.skip_statement();
                        }
                        table = Some(text.clone());
                    }
                }
                Token::Word { text, quoted } if depth == 1 && begins => {
                    let keys =
                        ["PRIMARY", "UNIQUE", "KEY", "INDEX", "CONSTRAINT", "FULLTEXT", "FOREIGN", "CHECK"];
                    if *quoted || !keys.iter().any(|key| text.eq_ignore_ascii_case(key)) {
                        columns.push(text.to_ascii_lowercase());
                    }
                }
                Token::Word { .. } | Token::Text(_) | Token::Mark(_) => {}
            }
            begins = false;
        }
        if let Some(table) = table {
            self.columns.insert(table, columns);
        }
        Ok(())
    }

    /// One `(…)`; `None` at the end of the statement.
    fn tuple(&mut self, table: String, columns: Vec<String>) -> Result<Option<DumpRow>, RowFault> {
        loop {
            match self.token()? {
                None | Some(Token::Mark(b';')) => return Ok(None),
                Some(Token::Mark(b'(')) => break,
                Some(_) => {}
            }
        }
        let line = self.line;
        let mut values = Vec::new();
        let mut value: Value = None;
        loop {
            match self.token()? {
                None => return Err(RowFault::Rule("the dump ends within a row")),
                Some(Token::Mark(mark @ (b',' | b')'))) => {
                    values.push(value.take());
                    if mark == b')' {
                        return Ok(Some(DumpRow { line, table, columns, values }));
                    }
                }
                Some(Token::Text(bytes)) => {
                    let text = std::str::from_utf8(&bytes);
                    // What is no UTF-8 is of no use in any column that counts.
                    value = Some(Zeroizing::new(text.unwrap_or("\0").to_owned()));
                }
                Some(Token::Word { text, quoted }) => {
                    // `_binary 'text'` says how the text is to be read.
                    if quoted || !text.starts_with('_') && !text.eq_ignore_ascii_case("NULL") {
                        value = Some(Zeroizing::new(text));
                    }
                }
                Some(Token::Mark(_)) => {}
            }
        }
    }

    fn skip_statement(&mut self) -> Result<(), RowFault> {
        while let Some(token) = self.token()? {
            if token.is_mark(b';') {
                break;
            }
        }
        Ok(())
    }

    fn peek(&mut self) -> Result<Option<u8>, RowFault> {
        Ok(self.source.fill_buf()?.first().copied())
    }

    fn take(&mut self) -> Result<Option<u8>, RowFault> {
        let byte = self.peek()?;
        if let Some(byte) = byte {
            self.source.consume(1);
            self.line += u64::from(byte == b'\n');
        }
        Ok(byte)
    }

    fn token(&mut self) -> Result<Option<Token>, RowFault> {
        while let Some(byte) = self.take()? {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b'#' => self.skip_line()?,
                b'-' if self.peek()? == Some(b'-') => self.skip_line()?,
                b'/' if self.peek()? == Some(b'*') => self.skip_comment()?,
                b'\'' | b'"' => return Ok(Some(Token::Text(self.quoted(byte)?))),
                b'`' => {
                    let text = String::from_utf8_lossy(&self.quoted(byte)?).into_owned();
                    return Ok(Some(Token::Word { text, quoted: true }));
                }
                byte if is_word(byte) => {
                    let mut text = String::from(char::from(byte));
                    while let Some(next) = self.peek()?.filter(|next| is_word(*next)) {
                        self.take()?;
                        if text.len() < IMPORT_VALUE_BYTES_MAX {
                            text.push(char::from(next));
                        }
                    }
                    return Ok(Some(Token::Word { text, quoted: false }));
                }
                mark => return Ok(Some(Token::Mark(mark))),
            }
        }
        Ok(None)
    }

    /// A text up to its closing quote, which is doubled or after a backslash within it. What exceeds the bound is
    /// dropped.
    fn quoted(&mut self, quote: u8) -> Result<Zeroizing<Vec<u8>>, RowFault> {
        let mut text = Zeroizing::new(Vec::new());
        while let Some(mut byte) = self.take()? {
            if byte == b'\\' && quote != b'`' {
                byte = match self.take()? {
                    None => break,
                    Some(b'n') => b'\n',
                    Some(b'r') => b'\r',
                    Some(b't') => b'\t',
                    Some(b'0') => 0,
                    Some(b'Z') => 0x1a,
                    Some(other) => other,
                };
            } else if byte == quote {
                if self.peek()? != Some(quote) {
                    break;
                }
                self.take()?;
            }
            if text.len() < IMPORT_VALUE_BYTES_MAX {
                text.push(byte);
            }
        }
        Ok(text)
    }

    fn skip_line(&mut self) -> Result<(), RowFault> {
        while !matches!(self.take()?, None | Some(b'\n')) {}
        Ok(())
    }

    fn skip_comment(&mut self) -> Result<(), RowFault> {
        let mut before = 0;
        self.take()?;
        while let Some(byte) = self.take()? {
            if before == b'*' && byte == b'/' {
                break;
            }
            before = byte;
        }
        Ok(())
    }
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$' | b'+' | 0x80..)
}
