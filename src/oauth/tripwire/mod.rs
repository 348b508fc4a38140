//! The tripwire: sees an upstream's answer that hands a token over, on whatever route.
//!
//! Invariants: what cannot be looked into is not called clear; a piece is called clear only when no value of a
//! token begins in it; the work that one answer can cause is bounded.

mod known;
mod patterns;
mod scan;

use std::io::{self, Write};

use brotli_decompressor::DecompressorWriter;
use flate2::write::MultiGzDecoder;
use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, LOCATION, REFRESH},
};
use percent_encoding::percent_decode;

pub use self::known::Known;
use self::{
    patterns::Finding,
    scan::{Declared, Scanner},
};
use crate::types::limits::TOKEN_ANSWER_BYTES_MAX;

/// Why an answer is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Tripped {
    /// It redirects to a URL with a token in its fragment (RFC 6749 section 4.2.2).
    #[error("it redirects with a token")]
    Redirect,
    /// Its body holds a token.
    #[error("its body holds a token")]
    Body,
    /// It is encoded so that nobody can tell.
    #[error("it cannot be looked into: {0}")]
    Unreadable(&'static str),
}

/// What is to be done with a piece of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// It may go on, and all before it.
    Clear,
    /// It is to be held: what comes next will tell.
    Unsure,
}

/// Watches the body of one answer.
#[derive(Debug)]
pub struct Tripwire(Reader);

enum Reader {
    Plain(Box<Scanner>),
    Gzip(Box<MultiGzDecoder<Sink>>),
    Brotli(Box<DecompressorWriter<Sink>>),
    Over,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Gzip(_) => "Gzip",
            Self::Brotli(_) => "Brotli",
            Self::Over => "Over",
        })
    }
}

/// Bytes that a decoder gives at once.
const DECODED_BYTES: usize = 16 * 1024;

/// Media types whose bodies are no answers to anybody: watched only if they begin as JSON does after all.
const FILES: [&str; 15] = [
    "application/font-woff",
    "application/gzip",
    "application/octet-stream",
    "application/pdf",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-7z-compressed",
    "application/x-bzip2",
    "application/x-gzip",
    "application/x-tar",
    "application/x-xz",
    "application/zip",
    "application/zstd",
    "text/css",
    "text/vtt",
];
/// Scripts, by the names that servers use (RFC 9239 section 6).
const SCRIPTS: [&str; 4] =
    ["application/ecmascript", "application/javascript", "application/x-javascript", "text/javascript"];
const FILE_FAMILIES: [&str; 4] = ["image/", "audio/", "video/", "font/"];
/// Charsets in which ASCII letters are other bytes, by how their names begin. UTF-16 and UTF-32 are looked into.
const FOREIGN_CHARSETS: [&str; 7] = ["ibm", "cp0", "cp1026", "cp500", "ebcdic", "utf-7", "scsu"];

impl Tripwire {
    /// Judges the head of an answer to a client that knows some tokens already; `None` means that there is nothing to
    /// watch.
    pub fn for_answer(
        known: &Known,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Option<Self>, Tripped> {
        // Most answers point nowhere, and to compare the names that are there costs less than to look up these.
        let redirects = |wanted| {
            headers.keys().any(|name| name == wanted) && redirects_with_token(headers, wanted, known)
        };
        if [LOCATION, CONTENT_LOCATION, REFRESH].iter().any(redirects) {
            return Err(Tripped::Redirect);
        }
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return Ok(None);
        }
        let declared = declared(headers)?;
        if status == StatusCode::PARTIAL_CONTENT && is_late_part(headers) {
            return match declared {
                Declared::File => Ok(None),
                Declared::Json | Declared::Script | Declared::Unknown => {
                    Err(Tripped::Unreadable("it is a part without the beginning"))
                }
            };
        }
        let scanner = Scanner::new(declared, known.clone());
        let sink = |scanner| Sink { scanner, finding: Finding::Words };
        let coding = match coding(headers) {
            // A file that was never text is nobody's to look into.
            Err(_) if declared == Declared::File => return Ok(None),
            coding => coding?,
        };
        Ok(Some(Self(match coding {
            Coding::Identity => Reader::Plain(Box::new(scanner)),
            Coding::Gzip => Reader::Gzip(Box::new(MultiGzDecoder::new(sink(scanner)))),
            Coding::Brotli => Reader::Brotli(Box::new(DecompressorWriter::new(sink(scanner), DECODED_BYTES))),
        })))
    }

    /// One that has nothing left to do.
    pub const fn spent() -> Self {
        Self(Reader::Over)
    }

    /// Whether nothing more is looked for, whatever comes.
    pub fn is_over(&self) -> bool {
        match &self.0 {
            Reader::Plain(scanner) => scanner.is_over(),
            Reader::Gzip(decoder) => decoder.get_ref().scanner.is_over(),
            Reader::Brotli(decoder) => decoder.get_ref().scanner.is_over(),
            Reader::Over => true,
        }
    }

    /// Looks at a body that is here whole.
    pub fn whole(mut self, body: &[u8]) -> Result<(), Tripped> {
        match self.0 {
            Reader::Plain(scanner) => match scanner.whole(body) {
                Finding::Words | Finding::Unsure => Ok(()),
                Finding::Token => Err(Tripped::Body),
            },
            Reader::Over => Ok(()),
            Reader::Gzip(_) | Reader::Brotli(_) => {
                self.feed(body)?;
                self.finish()
            }
        }
    }

    /// Looks at the next piece of the body, as it comes over the wire.
    pub fn feed(&mut self, piece: &[u8]) -> Result<Sight, Tripped> {
        let finding = match &mut self.0 {
            Reader::Plain(scanner) => scanner.feed(piece),
            Reader::Gzip(decoder) => {
                let written = decoder.write_all(piece).and_then(|()| decoder.flush());
                decoder.get_mut().take(written)?
            }
            Reader::Brotli(decoder) => {
                let written = decoder.write_all(piece);
                decoder.get_mut().take(written)?
            }
            Reader::Over => Finding::Words,
        };
        if self.is_over() {
            self.0 = Reader::Over;
        }
        match finding {
            Finding::Words => Ok(Sight::Clear),
            Finding::Unsure => Ok(Sight::Unsure),
            Finding::Token => Err(Tripped::Body),
        }
    }

    /// The body has ended.
    pub fn finish(&mut self) -> Result<(), Tripped> {
        let scanner = match &mut self.0 {
            Reader::Plain(scanner) => scanner,
            Reader::Gzip(decoder) => {
                let written = decoder.try_finish();
                decoder.get_mut().take(written)?;
                &mut decoder.get_mut().scanner
            }
            Reader::Brotli(decoder) => {
                let written = decoder.close();
                decoder.get_mut().take(written)?;
                &mut decoder.get_mut().scanner
            }
            Reader::Over => return Ok(()),
        };
        if scanner.finish() == Finding::Token { Err(Tripped::Body) } else { Ok(()) }
    }
}

/// Where a decoder writes to.
struct Sink {
    scanner: Scanner,
    finding: Finding,
}

impl Sink {
    /// What was found since the last time, or why the coding cannot be undone.
    fn take(&mut self, written: io::Result<()>) -> Result<Finding, Tripped> {
        match (std::mem::replace(&mut self.finding, Finding::Words), written) {
            (Finding::Token, _) => Err(Tripped::Body),
            (finding, Ok(())) => Ok(finding),
            (finding, Err(_)) if self.scanner.is_over() => Ok(finding),
            (_, Err(_)) => Err(Tripped::Unreadable("its Content-Encoding is broken")),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, decoded: &[u8]) -> io::Result<usize> {
        // The last word counts, save that a token is never forgotten.
        if self.finding != Finding::Token {
            self.finding = self.scanner.feed(decoded);
        }
        // Whatever else the decoder has is not needed.
        if self.finding == Finding::Token || self.scanner.is_over() {
            return Err(io::Error::other("enough was seen"));
        }
        Ok(decoded.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Coding {
    Identity,
    Gzip,
    Brotli,
}

fn coding(headers: &HeaderMap) -> Result<Coding, Tripped> {
    let mut lines = headers.get_all(CONTENT_ENCODING).iter();
    let Some(line) = lines.next() else { return Ok(Coding::Identity) };
    let name = line.to_str().unwrap_or("?").trim().to_ascii_lowercase();
    match name.as_str() {
        _ if lines.next().is_some() => Err(Tripped::Unreadable("it has two codings")),
        "" | "identity" => Ok(Coding::Identity),
        "gzip" | "x-gzip" => Ok(Coding::Gzip),
        "br" => Ok(Coding::Brotli),
        _ => Err(Tripped::Unreadable("its Content-Encoding was not asked for")),
    }
}

fn declared(headers: &HeaderMap) -> Result<Declared, Tripped> {
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return Ok(Declared::Unknown) };
    let Ok(text) = line.to_str() else { return Ok(Declared::Unknown) };
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let declared = declared_by(essence.trim());
    if declared != Declared::File && !parameters.is_empty() && is_foreign(&parameters.to_ascii_lowercase()) {
        return Err(Tripped::Unreadable("its charset is not one that it was asked for"));
    }
    Ok(declared)
}

fn declared_by(essence: &str) -> Declared {
    let is = |name: &&str| essence.eq_ignore_ascii_case(name);
    let begins =
        |family: &&str| essence.get(..family.len()).is_some_and(|head| head.eq_ignore_ascii_case(family));
    let ends = |end: &str| {
        let at = essence.len().checked_sub(end.len());
        at.and_then(|at| essence.get(at..)).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
    };
    // Most answers are one of the first two.
    if is(&"text/html") {
        Declared::Unknown
    } else if ends("/json") || ends("+json") {
        Declared::Json
    } else if SCRIPTS.iter().any(is) {
        Declared::Script
    } else if FILES.iter().any(is) || FILE_FAMILIES.iter().any(begins) {
        Declared::File
    } else {
        Declared::Unknown
    }
}

fn is_foreign(parameters: &str) -> bool {
    parameters
        .split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, _)| name.trim() == "charset")
        .map(|(_, value)| value.trim().trim_matches(['"', '\'']))
        .any(|charset| FOREIGN_CHARSETS.iter().any(|foreign| charset.starts_with(foreign)))
}

/// Whether a part (RFC 9110 section 14.4) leaves out the beginning of something that may be a token answer.
fn is_late_part(headers: &HeaderMap) -> bool {
    let Some(range) = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok()) else { return true };
    let range = range.trim_start_matches("bytes").trim_start();
    if range.starts_with("0-") {
        return false;
    }
    let whole = range.rsplit('/').next().and_then(|length| length.trim().parse::<usize>().ok());
    whole.is_none_or(|bytes| bytes <= TOKEN_ANSWER_BYTES_MAX)
}

/// Whether the target of a redirect has a token in its fragment or its query (OAuth 2.0 Multiple Response Type Encoding
/// Practices section 2.1), other than one that the client has already.
fn redirects_with_token(headers: &HeaderMap, name: &HeaderName, known: &Known) -> bool {
    let issues = |parameters: &[u8], is_token: &dyn Fn(&[u8]) -> bool| {
        let parameters: Vec<u8> = percent_decode(parameters).collect();
        ["access_token=", "id_token="].iter().any(|name| {
            memchr::memmem::find_iter(&parameters, name.as_bytes()).any(|at| {
                let rest = &parameters[at + name.len()..];
                is_token(&rest[..memchr::memchr2(b'&', b'#', rest).unwrap_or(rest.len())])
            })
        })
    };
    headers.get_all(name).iter().any(|value| {
        let target = value.as_bytes();
        let (url, fragment) = target.split_at(memchr::memchr(b'#', target).unwrap_or(target.len()));
        let query = memchr::memchr(b'?', url).map_or(&b""[..], |at| &url[at..]);
        // Sites carry parameters of all kinds on in a query; nobody puts anything but a token into a fragment.
        issues(fragment, &|value| !known.holds(value, true))
            || issues(query, &|value| known::may_be_token(value) && !known.holds(value, true))
    })
}

#[cfg(test)]
mod tests;
