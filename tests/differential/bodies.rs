//! Parameters as bytes: in the ways that every parser reads alike, and in ways that some read.

use std::fmt::Write as _;

use super::random::Random;

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Form,
    Json,
    Multipart,
}

/// How far a body strays from what all parsers take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// Any spelling that the standard allows.
    Careful,
    /// What some parser takes nevertheless.
    Sloppy,
}

/// Names and values, not encoded.
pub(crate) type Parameters = [(String, String)];

/// The bytes of a body.
pub(crate) fn written(style: Style, care: Care, parameters: &Parameters, random: &mut Random) -> Vec<u8> {
    let text = match style {
        Style::Form => form(care, parameters, random),
        Style::Json => json(care, parameters, random),
        Style::Multipart => multipart(care, parameters, random),
    };
    let mut bytes = text.into_bytes();
    if care == Care::Sloppy {
        disturb(&mut bytes, random);
    } else if random.one_in(10) {
        bytes.extend(b"\r\n");
    }
    bytes
}

/// An encoded form.
pub(crate) fn form(care: Care, parameters: &Parameters, random: &mut Random) -> String {
    const SEPARATORS: &[&str] = &["&", "&", "&", ";", "&&", "&amp;", ",", "\n", "\0", "%26"];
    const EQUALS: &[&str] = &["=", "=", "=", "=", "==", "%3D", " = ", ""];
    let sloppy = care == Care::Sloppy;
    let over_encode = random.one_in(3);
    let mut out = String::new();
    for (index, (name, value)) in parameters.iter().enumerate() {
        if index > 0 {
            out += if sloppy { random.pick(SEPARATORS) } else { "&" };
        }
        percent(name, sloppy, over_encode, random, &mut out);
        out += if sloppy { random.pick(EQUALS) } else { "=" };
        percent(value, sloppy, over_encode, random, &mut out);
    }
    out
}

fn percent(text: &str, sloppy: bool, over_encode: bool, random: &mut Random, out: &mut String) {
    for c in text.chars() {
        let plain = c.is_ascii_alphanumeric() || "-._~".contains(c);
        if sloppy && random.one_in(12) {
            strange_escape(c, random, out);
        } else if c == ' ' && random.one_in(2) {
            out.push('+');
        } else if plain && !(over_encode && random.one_in(4)) || sloppy && random.one_in(6) {
            out.push(c);
        } else {
            for byte in c.to_string().bytes() {
                let _ =
                    if random.one_in(2) { write!(out, "%{byte:02X}") } else { write!(out, "%{byte:02x}") };
            }
        }
    }
}

/// What is no percent encoding, but decoded by some.
fn strange_escape(c: char, random: &mut Random, out: &mut String) {
    let code = c as u32;
    let _ = match random.below(8) {
        0 => write!(out, "%u{code:04x}"),
        1 => write!(out, "%25{:02x}", code & 0xFF),
        // An overlong form, which decoders must not take.
        2 => write!(out, "%{:02X}%{:02X}", 0xC0 | (code >> 6) & 0x1F, 0x80 | code & 0x3F),
        3 => write!(out, "&#{code};"),
        4 => write!(out, "{c}%00"),
        5 => write!(out, "{c}%"),
        6 => write!(out, "%{:02x}", code & 0xFF), // Latin-1
        _ => write!(out, "{c}%E2%80%8B"),
    };
}

fn json(care: Care, parameters: &Parameters, random: &mut Random) -> String {
    const SPACES: &[&str] = &["", "", "", " ", "\n", "\t", "\r\n  "];
    let sloppy = care == Care::Sloppy;
    let mut out = random.pick(SPACES).to_owned() + "{";
    for (index, (name, value)) in parameters.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out += random.pick(SPACES);
        json_string(name, sloppy, random, &mut out);
        out += random.pick(SPACES);
        out.push(':');
        out += random.pick(SPACES);
        json_value(value, sloppy, random, &mut out);
    }
    if sloppy && random.one_in(6) {
        out += random.pick(&[",", "/* x */", "// x\n", ",\"x\":NaN", ",\"x\":{\"grant_type\":\"password\"}"]);
    }
    out + "}"
}

fn json_value(value: &str, sloppy: bool, random: &mut Random, out: &mut String) {
    if !sloppy || !random.one_in(5) {
        return json_string(value, sloppy, random, out);
    }
    let (before, after) =
        [("[", "]"), ("[[", "]]"), ("{\"x\":", "}"), ("[\"bob\",", "]"), ("", "\"x\"")][random.below(5)];
    *out += before;
    json_string(value, sloppy, random, out);
    *out += after;
}

fn json_string(text: &str, sloppy: bool, random: &mut Random, out: &mut String) {
    let quote = if sloppy && random.one_in(12) { '\'' } else { '"' };
    out.push(quote);
    for c in text.chars() {
        let must = c.is_control() || c == '"' || c == '\\';
        if must && !(sloppy && random.one_in(3)) || random.one_in(15) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = if random.one_in(2) {
                    write!(out, "\\u{unit:04x}")
                } else {
                    write!(out, "\\u{unit:04X}")
                };
            }
        } else if sloppy && random.one_in(20) {
            let _ = match random.below(4) {
                0 => write!(out, "{c}\\u0000"),
                1 => write!(out, "\\x{:02x}", c as u32 & 0xFF),
                2 => write!(out, "\\{c}"),
                _ => write!(out, "{c}\\ud800"),
            };
        } else {
            out.push(c);
        }
    }
    out.push(quote);
}

fn multipart(care: Care, parameters: &Parameters, random: &mut Random) -> String {
    const DISPOSITIONS: &[&str] = &[
        "Content-Disposition: form-data; name=",
        "CONTENT-DISPOSITION: FORM-DATA; NAME=",
        "Content-Disposition:form-data;name=",
    ];
    let sloppy = care == Care::Sloppy;
    let line_end = if sloppy && random.one_in(4) { "\n" } else { "\r\n" };
    let mut out = String::new();
    for (name, value) in parameters {
        let _ = write!(out, "--BB{line_end}{}", random.pick(DISPOSITIONS));
        let _ = match random.below(if sloppy { 6 } else { 1 }) {
            1 => write!(out, "{name}"),
            2 => write!(out, "'{name}'"),
            3 => write!(out, "x; name*=utf-8''{name}"),
            4 => write!(out, "\"{name}\"; filename=\"\""),
            5 => write!(out, "\"x\"; name=\"{name}\""),
            _ => write!(out, "\"{name}\""),
        };
        if sloppy && random.one_in(6) {
            let header = random.pick(&[
                "Content-Type: text/plain; charset=utf-16",
                "Content-Type: application/json",
                "Content-Transfer-Encoding: base64",
                "Content-Type: text/plain",
            ]);
            let _ = write!(out, "{line_end}{header}");
        }
        let _ = write!(out, "{line_end}{line_end}{value}{line_end}");
    }
    out + "--BB--" + line_end
}

/// Bytes that stand around a body, or are not in the encoding that they should be in.
fn disturb(bytes: &mut Vec<u8>, random: &mut Random) {
    match random.below(14) {
        0 => drop(bytes.splice(0..0, *b"\xEF\xBB\xBF")),
        1 => drop(bytes.splice(0..0, random.pick(&["&", "?", " ", "\r\n", ";", "\0", "x&"]).bytes())),
        2 => bytes.extend(random.pick(&["&", "\0", "\n\n", ";", "&grant_type", "#x", "{}", "%"]).bytes()),
        3 => *bytes = bytes.iter().flat_map(|b| [*b, 0]).collect(), // UTF-16
        4 => *bytes = [&b"["[..], bytes, b"]"].concat(),
        5 => *bytes = [&b"{\"x\":1}"[..], bytes].concat(),
        6 if !bytes.is_empty() => {
            let at = random.below(bytes.len());
            bytes[at] = u8::try_from(random.below(256)).expect("below 256");
        }
        7 if !bytes.is_empty() => {
            let at = random.below(bytes.len());
            let byte = u8::try_from(random.below(256)).expect("below 256");
            bytes.insert(at, byte);
        }
        8 if !bytes.is_empty() => drop(bytes.remove(random.below(bytes.len()))),
        _ => {}
    }
}
