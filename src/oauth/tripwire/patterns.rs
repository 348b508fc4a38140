//! What a text looks like around the words `access_token` where they hand a token over.
//!
//! A page may speak of tokens; an answer that issues one has the name and a value in one of a few shapes.

use super::Known;

/// What the words at one place are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Finding {
    /// Only words.
    Words,
    /// The text ends too early to say.
    Unsure,
    /// A token.
    Token,
}

/// The words that every issued access token goes by (RFC 6749 sections 4.2.2 and 5.1).
pub(super) const NEEDLE: &[u8] = b"access_token";

/// Bytes before the words that are looked at: the start of a URL's fragment,
/// with other tokens in it (`#state=…&id_token=…&access_token=…`).
pub(super) const BEFORE_MAX: usize = 4 * 1024;
/// Bytes of a form field, with a signed token for its value, before or after the words.
pub(super) const AFTER_MAX: usize = 8 * 1024;
/// `#`, and how pages and scripts escape it.
const HASHES: [&[u8]; 7] = [b"#", b"%23", b"\\x23", b"\\u0023", b"&#35;", b"&#x23;", b"&num;"];
/// `=`, likewise.
const EQUALS: [&[u8]; 7] = [b"=", b"%3d", b"\\u003d", b"\\x3d", b"&#61;", b"&#x3d;", b"&equals;"];
/// Bytes of white space between a name, a colon and a value.
const SPACE_MAX: usize = 1024;

/// A member of a JSON object with a text for its value: `"access_token": "…"`. Objects that were put into a
/// string, their quotes escaped, count; a schema (`"access_token": {"type": …`) does not.
///
/// A token that the client has already is only words.
pub(super) fn member(text: &[u8], at: usize, known: &Known) -> Finding {
    if !text[..at].ends_with(b"\"") {
        return Finding::Words;
    }
    match member_value(Rest(&text[at + NEEDLE.len()..])) {
        Ok(value) => issued(value, known),
        Err(finding) => finding,
    }
}

/// Whether a value, of which the text may hold the beginning only, is handed over.
fn issued(value: &[u8], known: &Known) -> Finding {
    let (seen, is_whole) = text_of(value);
    match is_whole {
        _ if !known.holds(&seen, is_whole) => Finding::Token,
        true => Finding::Words,
        false if seen.len() > AFTER_MAX => Finding::Token,
        false => Finding::Unsure,
    }
}

/// A value up to its closing quote, with `/` where it is escaped, as PHP does; and whether the quote is there.
fn text_of(value: &[u8]) -> (Vec<u8>, bool) {
    let mut text = Vec::with_capacity(64);
    let mut rest = value;
    loop {
        match rest {
            [] | [b'\\'] => return (text, false),
            [b'\\', b'/', ..] => {
                text.push(b'/');
                rest = &rest[2..];
            }
            // A quote, also of a string within a string; whatever else is escaped is no part of any token.
            [b'"' | b'\\', ..] => return (text, true),
            [first, ..] => {
                text.push(*first);
                rest = &rest[1..];
            }
        }
    }
}

/// What begins with the value.
fn member_value(mut rest: Rest<'_>) -> Result<&[u8], Finding> {
    rest.quote()?;
    rest.space()?;
    rest.byte(b':')?;
    rest.space()?;
    let nesting = rest.quote()?;
    let value = rest.0;
    match rest.quote() {
        Ok(end) if end == nesting => Err(Finding::Words), // an empty text
        Err(Finding::Unsure) => Err(Finding::Unsure),
        _ => Ok(value),
    }
}

/// What follows the words.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    /// A quote, escaped as often as strings are nested: so many times.
    fn quote(&mut self) -> Result<usize, Finding> {
        let escapes = self.0.iter().take_while(|b| **b == b'\\').count();
        match self.0.get(escapes) {
            Some(b'"') => {
                self.0 = &self.0[escapes + 1..];
                Ok(escapes)
            }
            Some(_) => Err(Finding::Words),
            None => Err(Finding::Unsure),
        }
    }

    fn space(&mut self) -> Result<(), Finding> {
        let space = self.0.iter().take_while(|b| b.is_ascii_whitespace()).count();
        if space > SPACE_MAX {
            // No server writes that, and what cannot be followed to its end is not let pass.
            return Err(Finding::Token);
        }
        self.0 = &self.0[space..];
        Ok(())
    }

    fn byte(&mut self, wanted: u8) -> Result<(), Finding> {
        match self.0.split_first() {
            Some((first, rest)) if *first == wanted => {
                self.0 = rest;
                Ok(())
            }
            Some(_) => Err(Finding::Words),
            None => Err(Finding::Unsure),
        }
    }
}

/// A parameter in a URL's fragment: `#access_token=…`, also behind others, and escaped as scripts do.
pub(super) fn fragment(text: &[u8], at: usize) -> Finding {
    let value = match after_equals(&text[at + NEEDLE.len()..]) {
        Ok(value) => value,
        Err(finding) => return finding,
    };
    let before = &text[at.saturating_sub(BEFORE_MAX)..at];
    let ends_url = |b: &u8| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b'<' | b'>');
    let url = before.rsplit(ends_url).next().unwrap_or_default();
    if HASHES.iter().any(|hash| memchr::memmem::find(url, hash).is_some()) {
        return value;
    }
    Finding::Words
}

/// A form as the body: `access_token=…`, behind nothing but other parameters, of which the text may hold the end only.
pub(super) fn form(text: &[u8], at: usize) -> Finding {
    let before = text[..at].trim_ascii_start();
    if before.last().is_none_or(|b| *b == b'&') && is_of_form(before) {
        return after_equals(&text[at + NEEDLE.len()..]).unwrap_or_else(|finding| finding);
    }
    Finding::Words
}

/// Whether a text can be a piece of a form.
pub(super) fn is_of_form(text: &[u8]) -> bool {
    text.iter().all(|b| is_of_token(*b) || matches!(b, b'&' | b'=' | b'*'))
}

fn after_equals(rest: &[u8]) -> Result<Finding, Finding> {
    for equals in EQUALS {
        let len = rest.len().min(equals.len());
        if !rest[..len].eq_ignore_ascii_case(&equals[..len]) {
            continue;
        }
        return match rest.get(equals.len()) {
            None => Err(Finding::Unsure),
            Some(b) if is_of_token(*b) => Ok(Finding::Token),
            Some(_) => Err(Finding::Words),
        };
    }
    Err(Finding::Words)
}

/// An XML element: `<access_token>…`, also with attributes.
pub(super) fn element(text: &[u8], at: usize) -> Finding {
    if !text[..at].ends_with(b"<") && !text[..at].ends_with(b":") {
        return Finding::Words;
    }
    let after = &text[at + NEEDLE.len()..];
    match after.first() {
        None => return Finding::Unsure,
        Some(b'>' | b' ' | b'\t' | b'\r' | b'\n') => {}
        Some(_) => return Finding::Words,
    }
    match after.iter().position(|b| *b == b'>').map(|end| after.get(end + 1)) {
        Some(Some(value)) if is_of_token(*value) => Finding::Token,
        Some(None) => Finding::Unsure,
        None if after.len() < AFTER_MAX => Finding::Unsure,
        Some(Some(_)) | None => Finding::Words,
    }
}

/// A hidden form field with a value, as a page that posts itself has it (OAuth 2.0 Form Post Response Mode
/// section 2). A field that a person types into is hidden from nobody.
pub(super) fn hidden_field(text: &[u8], at: usize) -> Finding {
    let before = &text[at.saturating_sub(AFTER_MAX)..at];
    let Some(start) = before.iter().rposition(|b| matches!(b, b'<' | b'>')) else { return Finding::Words };
    if before[start] != b'<' || !is_name_attribute(&before[start..]) {
        return Finding::Words;
    }
    let after = &text[at..];
    let Some(end) = after.iter().take(AFTER_MAX).position(|b| *b == b'>') else {
        // A tag that is longer than any token is none that can be let pass.
        return if after.len() < AFTER_MAX { Finding::Unsure } else { Finding::Token };
    };
    let tag = [&before[start..], &after[..end]].concat().to_ascii_lowercase();
    let has = |what: &[u8]| memchr::memmem::find(&tag, what).is_some();
    let is_filled = memchr::memmem::find(&tag, b"value").is_some_and(|value| {
        let is_between = |b: &&u8| b.is_ascii_whitespace() || matches!(b, b'=' | b'"' | b'\'' | b'\\');
        let rest = tag[value + 5..].iter().filter(|b| !is_between(b));
        rest.take(1).any(|b| is_of_token(*b))
    });
    if has(b"hidden") && is_filled { Finding::Token } else { Finding::Words }
}

fn is_name_attribute(tag: &[u8]) -> bool {
    let trimmed = tag.trim_ascii_end();
    let trimmed = trimmed.strip_suffix(b"\"").or_else(|| trimmed.strip_suffix(b"'")).unwrap_or(trimmed);
    // Within a string, its quotes are escaped.
    let trimmed = trimmed.strip_suffix(b"\\").unwrap_or(trimmed);
    let Some(name) = trimmed.trim_ascii_end().strip_suffix(b"=") else { return false };
    name.trim_ascii_end().to_ascii_lowercase().ends_with(b"name")
}

/// RFC 6750 section 2.1, and what encodes it.
const fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'%')
}
