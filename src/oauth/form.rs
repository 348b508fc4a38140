//! `application/x-www-form-urlencoded` (WHATWG URL section 5.1), read strictly.

use percent_encoding::percent_decode_str;

use super::{RequestFault, request::Parameter};
use crate::types::{Secret, limits::TOKEN_REQUEST_PARAMETERS_MAX};

/// Splits at `&` alone and decodes. Malformed escapes and bytes that are not UTF-8 are refused; `;` is a
/// character like any other, and leaves here encoded.
pub(super) fn parse(text: &str) -> Result<Vec<Parameter>, RequestFault> {
    let mut parameters = Vec::with_capacity(8);
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        if parameters.len() == TOKEN_REQUEST_PARAMETERS_MAX {
            return Err(RequestFault::too_many_parameters());
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name).map_err(|rule| RequestFault::parameter(name, rule))?;
        let value = decode(value).map_err(|rule| RequestFault::parameter(&name, rule))?;
        parameters.push(Parameter { name, value: Secret::new(value) });
    }
    Ok(parameters)
}

fn decode(text: &str) -> Result<String, &'static str> {
    if memchr::memchr2(b'%', b'+', text.as_bytes()).is_none() {
        return Ok(text.to_owned());
    }
    if !escapes_are_whole(text.as_bytes()) {
        return Err("has a '%' that is not followed by two hexadecimal digits");
    }
    let spaced = if text.contains('+') { &text.replace('+', " ") } else { text };
    match percent_decode_str(spaced).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => Err("must be UTF-8"),
    }
}

fn escapes_are_whole(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'%', bytes)
        .all(|at| bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)))
}
