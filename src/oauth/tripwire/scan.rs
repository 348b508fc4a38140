//! The search through a body that comes in pieces.
//!
//! Invariant: however a text is cut into pieces, the piece in which a token's value begins is not called
//! clear.

use std::{borrow::Cow, sync::LazyLock};

use memchr::memmem::Finder;

use super::{
    Known,
    patterns::{self, AFTER_MAX, BEFORE_MAX, Finding, NEEDLE},
};

static WORDS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(NEEDLE));
static ESCAPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\\u00"));

/// Bytes of a text that is no JSON in which a token is looked for. What a server says before a token answer,
/// and a page that hands one over, are short.
const TEXT_WATCHED_MAX: usize = 64 * 1024;
/// Bytes of JSON in which a token is looked for: many times the longest token answer.
const JSON_WATCHED_MAX: usize = 8 * 1024 * 1024;
/// Bytes by which a body is told to be JSON, a page, or neither.
const START_BYTES: usize = 64;
/// Bytes after which a body is told by whatever has come, be it white space or zeros.
const START_SEEN_MAX: usize = 4 * 1024;
/// Bytes on either side of a cut in which the words may stand across it, every letter escaped.
const SEAM_MAX: usize = 256;
/// Bytes that are kept of what was seen, for what comes.
const KEPT_MAX: usize = BEFORE_MAX + AFTER_MAX;

/// What the head of an answer says its body to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Declared {
    /// JSON.
    Json,
    /// A script: in it, what JSON has is looked for, for a request may ask for JSON in the guise of one.
    Script,
    /// A file: watched only if it begins as JSON does.
    File,
    /// Anything else, or nothing: its beginning tells.
    Unknown,
}

/// What a body is, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Script,
    Page,
    Text,
    Ignored,
}

/// A search.
#[derive(Debug)]
pub(super) struct Scanner {
    declared: Declared,
    known: Known,
    /// `None` until enough was seen.
    kind: Option<Kind>,
    /// The end of what was seen.
    kept: Vec<u8>,
    seen: usize,
    /// What was found last: a piece without a byte changes nothing.
    last: Finding,
    /// Whether all that was seen can be a form.
    is_form: bool,
    /// Bytes since a form field began whose tag has not ended: what stands in it may be a token.
    in_field: Option<usize>,
}

impl Scanner {
    pub(super) const fn new(declared: Declared, known: Known) -> Self {
        Self {
            declared,
            known,
            kind: None,
            kept: Vec::new(),
            seen: 0,
            last: Finding::Words,
            is_form: true,
            in_field: None,
        }
    }

    /// Whether nothing more is looked for.
    pub(super) fn is_over(&self) -> bool {
        match self.kind {
            Some(Kind::Ignored) => true,
            Some(Kind::Json) => self.seen > JSON_WATCHED_MAX,
            Some(Kind::Script | Kind::Page | Kind::Text) => self.seen > TEXT_WATCHED_MAX,
            None => false,
        }
    }

    /// Looks at a body that is here whole: what [`Scanner::feed`] and [`Scanner::finish`] say, without keeping
    /// anything for later.
    pub(super) fn whole(mut self, body: &[u8]) -> Finding {
        let text = narrowed(body);
        let Some(kind) = kind(self.declared, &text[..text.len().min(START_BYTES)], true) else {
            return Finding::Words;
        };
        let watched = match kind {
            Kind::Ignored => return Finding::Words,
            Kind::Json => JSON_WATCHED_MAX,
            Kind::Script | Kind::Page | Kind::Text => TEXT_WATCHED_MAX,
        };
        if !may_hold(&text[..text.len().min(watched)], kind) {
            return Finding::Words;
        }
        self.feed(body).max(self.finish())
    }

    /// Looks at the next piece.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Finding {
        if self.is_over() {
            return Finding::Words;
        }
        if !piece.is_empty() {
            // What is counted is what came, zero bytes included.
            self.seen += piece.len();
            let piece = narrowed(piece);
            self.last = self.look(&piece, false);
            if self.is_form && matches!(self.kind, None | Some(Kind::Text)) {
                let watched = &piece[..piece.len().min(TEXT_WATCHED_MAX)];
                // A backslash may begin the escape of a letter.
                self.is_form = watched.trim_ascii().split(|b| *b == b'\\').all(patterns::is_of_form);
            }
        }
        self.last
    }

    /// Says what an end at this place means.
    pub(super) fn finish(&mut self) -> Finding {
        if self.is_over() {
            return Finding::Words;
        }
        match self.look(&[], true) {
            Finding::Token => Finding::Token,
            Finding::Words | Finding::Unsure => Finding::Words,
        }
    }

    fn look(&mut self, piece: &[u8], is_last: bool) -> Finding {
        if self.kind.is_none() {
            let start = self.kept.iter().chain(piece).skip_while(|b| b.is_ascii_whitespace());
            let start: Vec<u8> = start.take(START_BYTES).copied().collect();
            self.kind = kind(self.declared, &start, is_last || self.seen >= START_SEEN_MAX);
        }
        if self.kind.is_none() && self.declared == Declared::File {
            self.keep(piece, KEPT_MAX);
            return Finding::Unsure;
        }
        let kind = self.kind.unwrap_or(match self.declared {
            Declared::Script => Kind::Script,
            Declared::Json | Declared::File | Declared::Unknown => Kind::Text,
        });
        if kind == Kind::Ignored {
            return Finding::Words;
        }
        self.follow_field(piece, kind);
        let in_field = self.in_field.is_some();
        if !self.is_suspect(piece, kind) {
            self.keep(piece, if in_field { KEPT_MAX } else { BEFORE_MAX });
            return if in_field { Finding::Unsure } else { Finding::Words };
        }
        let mut whole = std::mem::take(&mut self.kept);
        whole.extend_from_slice(piece);
        let text = if kind == Kind::Page { Cow::Borrowed(whole.as_slice()) } else { unescaped(&whole) };
        let finding = WORDS
            .find_iter(&text)
            .map(|at| self.judge(&text, at, kind))
            .max()
            .unwrap_or(Finding::Words)
            .max(if in_field { Finding::Unsure } else { Finding::Words });
        self.keep(&whole, if finding == Finding::Unsure { KEPT_MAX } else { BEFORE_MAX });
        finding
    }

    fn judge(&self, text: &[u8], at: usize, kind: Kind) -> Finding {
        let in_page = || patterns::fragment(text, at).max(patterns::hidden_field(text, at));
        match kind {
            Kind::Ignored => Finding::Words,
            Kind::Script => patterns::member(text, at, &self.known),
            // Pieces of pages come in JSON, too, and addresses to go to.
            Kind::Json => patterns::member(text, at, &self.known).max(in_page()),
            Kind::Page => in_page(),
            Kind::Text => {
                let form = if self.is_form { patterns::form(text, at) } else { Finding::Words };
                patterns::member(text, at, &self.known)
                    .max(in_page())
                    .max(patterns::element(text, at))
                    .max(form)
            }
        }
    }

    /// Notes whether the text now ends within a form field's tag.
    fn follow_field(&mut self, piece: &[u8], kind: Kind) {
        if !matches!(kind, Kind::Page | Kind::Text) {
            return;
        }
        let field = &b"<input"[..];
        self.in_field = match memchr::memrchr2(b'<', b'>', piece) {
            Some(at) if piece[at] == b'<' => {
                let tag = &piece[at..];
                let len = tag.len().min(field.len());
                tag[..len].eq_ignore_ascii_case(&field[..len]).then_some(tag.len())
            }
            Some(_) => None,
            None => self.in_field.map(|bytes| bytes + piece.len()),
        }
        .filter(|bytes| *bytes <= AFTER_MAX);
    }

    /// Whether the words may stand in the piece, or across its beginning.
    fn is_suspect(&self, piece: &[u8], kind: Kind) -> bool {
        // What was not decided is looked at again, with what has come.
        if self.last == Finding::Unsure || may_hold(piece, kind) {
            return true;
        }
        if self.kept.is_empty() {
            return false;
        }
        let mut seam = self.kept[self.kept.len().saturating_sub(SEAM_MAX)..].to_vec();
        seam.extend_from_slice(&piece[..piece.len().min(SEAM_MAX)]);
        may_hold(&seam, kind)
    }

    fn keep(&mut self, piece: &[u8], bytes_max: usize) {
        if piece.len() >= bytes_max {
            self.kept.clear();
            self.kept.extend_from_slice(&piece[piece.len() - bytes_max..]);
        } else {
            self.kept.extend_from_slice(piece);
            let surplus = self.kept.len().saturating_sub(bytes_max);
            self.kept.drain(..surplus);
        }
    }
}

/// Whether the words may stand in a text, as they are or escaped.
fn may_hold(text: &[u8], kind: Kind) -> bool {
    WORDS.find(text).is_some() || kind != Kind::Page && ESCAPE.find_iter(text).any(|at| is_letter(text, at))
}

/// The piece without zero bytes: with them, it would be UTF-16 or UTF-32, and no other text has any.
fn narrowed(piece: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(0, piece).is_none() {
        return Cow::Borrowed(piece);
    }
    piece.iter().filter(|b| **b != 0).copied().collect()
}

/// Tells a body by its first bytes; `None` when they are too few.
fn kind(declared: Declared, start: &[u8], is_all: bool) -> Option<Kind> {
    if declared == Declared::Json {
        return Some(Kind::Json);
    }
    let is_enough = is_all || start.len() == START_BYTES;
    // U+FEFF in UTF-8, and in the wide encodings.
    let mark =
        [&b"\xEF\xBB\xBF"[..], b"\xFF\xFE", b"\xFE\xFF"].into_iter().find(|mark| start.starts_with(mark));
    let start = start[mark.map_or(0, <[u8]>::len)..].trim_ascii_start();
    if start.starts_with(b"{") || start.starts_with(b"[") || is_padded(start) {
        return Some(Kind::Json);
    }
    let is_page = [&b"<!doctype"[..], b"<html"]
        .iter()
        .any(|opening| start.get(..opening.len()).is_some_and(|s| s.eq_ignore_ascii_case(opening)));
    match declared {
        Declared::File => is_enough.then_some(Kind::Ignored),
        Declared::Script => is_enough.then_some(Kind::Script),
        _ if is_page => Some(Kind::Page),
        _ => is_enough.then_some(Kind::Text),
    }
}

/// JSON as a script, `callback({` and how frameworks guard it, or after what keeps it from being one.
fn is_padded(start: &[u8]) -> bool {
    const GUARDS: [&[u8]; 6] = [b"/**/", b"typeof ", b"for(;;)", b"while(1)", b"while(true)", b")]}'"];
    if GUARDS.iter().any(|guard| start.starts_with(guard)) {
        return true;
    }
    let is_name = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | b'.' | b'[' | b']' | b';');
    let name = start.iter().take_while(is_name).count();
    let Some(arguments) = start[name..].strip_prefix(b"(") else { return false };
    name > 0 && matches!(arguments.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// Whether an escape (`\u0061`) stands for a letter or `_`, which nothing needs to escape.
fn is_letter(text: &[u8], at: usize) -> bool {
    match text.get(at + 4..at + 6) {
        Some([high, _]) => matches!(high, b'4'..=b'7'),
        _ => true, // cut off: the next piece tells
    }
}

/// The text with every escaped character as itself, and a quote as one within a string. (PHP escapes quotes, brackets
/// and `&` so, where its output may stand in a page.)
fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if ESCAPE.find(text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = ESCAPE.find(rest) {
        let byte = rest
            .get(at + 4..at + 6)
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .filter(|byte| matches!(byte, 0x20..=0x7F));
        plain.extend_from_slice(&rest[..at]);
        if let Some(byte) = byte {
            if matches!(byte, b'"' | b'\\') {
                plain.push(b'\\');
            }
            plain.push(byte);
            rest = &rest[at + 6..];
        } else {
            plain.extend_from_slice(&rest[at..at + 4]);
            rest = &rest[at + 4..];
        }
    }
    plain.extend_from_slice(rest);
    Cow::Owned(plain)
}
