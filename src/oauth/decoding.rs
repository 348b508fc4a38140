//! What servers decode before they route: percent-encodings and their relatives.
//!
//! Invariant: nothing is decoded in a way that hides a letter from another reading. Overlong UTF-8 becomes
//! ASCII only where it structures a path; letters in it stay bytes that match any letter.

/// Encodings of encodings are followed so deep; what still changes then is no innocent target.
const DECODINGS_MAX: usize = 8;

/// Decodes until nothing changes; `None` when that takes too long.
pub(super) fn to_fixpoint(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut current = bytes.to_vec();
    if bytes.iter().all(|b| b.is_ascii() && *b != b'%') {
        return Some(current);
    }
    for _ in 0..DECODINGS_MAX {
        let decoded = once(&current);
        if decoded == current {
            return Some(current);
        }
        current = decoded;
    }
    None
}

fn once(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let length = escaped(rest, &mut decoded).or_else(|| structural(rest, &mut decoded));
        if length.is_none() {
            decoded.push(*first);
        }
        rest = rest.get(length.unwrap_or(1)..).unwrap_or_default();
    }
    decoded
}

/// `%74` (RFC 3986 section 2.1), and `%u0074`, which IIS and Perl's CGI.pm know. Adds what it stands for and
/// gives its length.
fn escaped(bytes: &[u8], decoded: &mut Vec<u8>) -> Option<usize> {
    let code = |from: usize, to: usize| {
        let digits = bytes.get(from..to).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    match bytes {
        [b'%', b'u' | b'U', ..] => {
            match char::from_u32(code(2, 6)?) {
                Some(c) => decoded.extend(c.encode_utf8(&mut [0; 4]).bytes()),
                // Half a surrogate pair is no character: a byte that is not UTF-8 stands for it.
                None => decoded.push(0xFF),
            }
            Some(6)
        }
        [b'%', ..] => {
            decoded.push(u8::try_from(code(1, 3)?).ok()?);
            Some(3)
        }
        _ => None,
    }
}

/// The percent sign in full width, and overlong UTF-8 (RFC 3629 section 10) of characters that structure paths.
fn structural(bytes: &[u8], decoded: &mut Vec<u8>) -> Option<usize> {
    let (high, low, length) = match bytes {
        [0xEF, 0xBC, 0x85, ..] | [0xEF, 0xB9, 0xAA, ..] => {
            decoded.push(b'%');
            return Some(3);
        }
        [high @ (0xC0 | 0xC1), low, ..] => (*high, *low, 2),
        [0xE0, high @ (0x80 | 0x81), low, ..] => (*high, *low, 3),
        [0xF0, 0x80, high @ (0x80 | 0x81), low, ..] => (*high, *low, 4),
        [0xF8, 0x80, 0x80, high @ (0x80 | 0x81), low, ..] => (*high, *low, 5),
        [0xFC, 0x80, 0x80, 0x80, high @ (0x80 | 0x81), low, ..] => (*high, *low, 6),
        _ => return None,
    };
    let ascii = ((high & 1) << 6) | (low & 0x3F);
    let is_structural = low & 0xC0 == 0x80 && b"/\\.%".contains(&ascii);
    is_structural.then(|| {
        decoded.push(ascii);
        length
    })
}
