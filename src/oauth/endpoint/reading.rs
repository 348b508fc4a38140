//! What a router may make of a decoded text: folded, cut short, climbed and split into segments.
//!
//! Invariant: whatever is ignored, cut or taken for a separator by some server or collation is so in one of
//! the readings; a byte that is not UTF-8 may be any letter of an older encoding, or nothing.

use std::char::REPLACEMENT_CHARACTER;

use crate::types::fold;

/// One segment of the endpoint's path. Both forms are ASCII.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// Folded.
    folded: String,
    /// Folded, letters and digits only: some routers take `to-ken` for `toKen`.
    letters: String,
}

impl Segment {
    pub(super) fn new(segment: &str) -> Self {
        let folded = fold::coarse(segment);
        let letters = letters(&folded);
        Self { folded, letters }
    }

    pub(super) fn is(&self, text: &str) -> bool {
        self.folded == text
    }
}

/// One reading of a text, folded.
pub(super) struct Reading(String);

impl Reading {
    /// All readings of a decoded text.
    pub(super) fn all_of(decoded: &[u8]) -> Vec<Self> {
        let text = text(decoded);
        // C strings end at NUL, MySQL's three-byte `utf8` at what it cannot hold.
        let ends = |c: char| c == '\0' || c >= REPLACEMENT_CHARACTER;
        let cut = text.split(ends).next().unwrap_or_default();
        let mut readings = vec![Self(folded(&text))];
        if cut.len() < text.len() {
            readings.push(Self(folded(cut)));
        }
        // What was encoded may be a query once it is decoded: `/a%26q=oauth2/token` under mod_rewrite.
        let of_query = ['?', '&', '=', '#'];
        if readings[0].0.contains(of_query) {
            readings.push(Self(readings[0].0.replace(of_query, "/")));
        }
        readings
    }

    /// Whether the segments stand in it, one after another, anywhere: routers strip prefixes, and ignore what
    /// follows. Where it climbs, others may stand between them: servers differ in what `..` undoes, and no
    /// innocent client sends it.
    pub(super) fn holds(&self, segments: &[Segment]) -> bool {
        let names: Vec<Name<'_>> = self.0.split('/').filter_map(Name::of).collect();
        if self.0.split('/').any(is_climb) {
            let mut names = names.iter();
            return segments.iter().all(|segment| names.any(|name| name.is(segment)));
        }
        names
            .windows(segments.len().max(1))
            .any(|window| window.iter().zip(segments).all(|(name, segment)| name.is(segment)))
    }
}

/// A segment of a text, as routers may compare it.
struct Name<'a> {
    /// Without suffixes: `token.json`, `token,x`, `token(1)`.
    head: &'a str,
    /// Its letters and digits.
    letters: String,
}

impl<'a> Name<'a> {
    /// `None` when there is nothing in it to compare.
    fn of(segment: &'a str) -> Option<Self> {
        let whole = without_parameters(segment);
        let head = whole.split(|c| !is_substantial(c) && c != '-' && c != '_').next().unwrap_or_default();
        whole.contains(is_substantial).then(|| Self { head, letters: letters(whole) })
    }

    fn is(&self, segment: &Segment) -> bool {
        fits(self.head, &segment.folded) || fits(&self.letters, &segment.letters)
    }
}

/// Path parameters: `token;x`.
fn without_parameters(segment: &str) -> &str {
    segment.split(';').next().unwrap_or_default().trim()
}

/// `..`, with more dots or with spaces, which Windows ignores.
fn is_climb(segment: &str) -> bool {
    let whole = without_parameters(segment);
    whole.starts_with("..") && whole.chars().all(|c| matches!(c, '.' | ' '))
}

/// Bytes that are not UTF-8 become one replacement character each. `+` is a space, as PHP's `urldecode` has it.
fn text(decoded: &[u8]) -> String {
    let mut text = String::with_capacity(decoded.len());
    for chunk in decoded.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| REPLACEMENT_CHARACTER));
    }
    text.replace('+', " ")
}

/// Folded, with one spelling for all that is a slash or a dot in some code page or on Windows.
fn folded(text: &str) -> String {
    let one_spelling = |c| match c {
        '\\' | '¥' | '₩' | '⁄' | '∕' | '∖' | '⧵' | '⧸' | '⧹' | '╱' | '╲' => '/',
        '。' | '｡' => '.',
        _ => c,
    };
    fold::coarse(text).chars().map(one_spelling).collect()
}

/// Letters, digits and the bytes that may be some. The fillers are letters that collations ignore.
fn is_substantial(c: char) -> bool {
    let is_filler = matches!(c, '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}');
    c == REPLACEMENT_CHARACTER || c.is_alphanumeric() && !is_filler
}

/// What is left when all but ASCII letters and digits is ignored.
fn letters(folded: &str) -> String {
    folded.chars().filter(|c| c.is_ascii_alphanumeric() || *c == REPLACEMENT_CHARACTER).collect()
}

/// Whether a text is a segment, when each byte that was not UTF-8 may be two letters (`þ` is `th`), one or none,
/// and a run of `s` is one, as folding has it.
fn fits(text: &str, segment: &str) -> bool {
    let wanted = segment.as_bytes();
    // Which lengths of the segment's start the text so far may be.
    let mut reached = vec![false; wanted.len() + 1];
    reached[0] = true;
    for c in text.chars() {
        let mut next = vec![false; wanted.len() + 1];
        for at in (0..=wanted.len()).filter(|at| reached[*at]) {
            if c == REPLACEMENT_CHARACTER {
                next.iter_mut().skip(at).take(3).for_each(|possible| *possible = true);
            } else if wanted.get(at).is_some_and(|letter| char::from(*letter) == c) {
                next[at + 1] = true;
            } else if c == 's' && at > 0 && wanted[at - 1] == b's' {
                next[at] = true;
            }
        }
        if !next.contains(&true) {
            return false;
        }
        reached = next;
    }
    reached[wanted.len()]
}
