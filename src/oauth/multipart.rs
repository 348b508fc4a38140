//! `multipart/form-data` (RFC 7578, on RFC 2046 section 5.1), read strictly: fields, no files.
//!
//! Invariant: every byte of the body is accounted for by the grammar. There is no preamble, no epilogue, no
//! padding after a boundary, no line that ends otherwise than with CRLF, and no header beside the two that
//! say nothing but a field's name and that it is text.

use memchr::memmem;

use super::{RequestFault, media_type, request::Parameter};
use crate::types::{Secret, limits::TOKEN_REQUEST_PARAMETERS_MAX};

const SHAPE: &str =
    "must be parts between boundaries, with CRLF line ends and nothing before the first or after the last";
const DISPOSITION: &str =
    "must have one Content-Disposition: form-data; name=\"...\" in each part, and no file";
const HEADERS: &str = "must have no header in a part but Content-Disposition and Content-Type: text/plain";

/// Reads the fields in their order, duplicates included: those are refused where forms' are.
pub(super) fn parse(body: &[u8], boundary: &str) -> Result<Vec<Parameter>, RequestFault> {
    let misshapen = || RequestFault::body(SHAPE);
    let delimiter = format!("\r\n--{boundary}");
    let (_, opening) = delimiter.split_at(2);
    let mut rest = body.strip_prefix(opening.as_bytes()).ok_or_else(misshapen)?;
    let mut parameters = Vec::with_capacity(8);
    loop {
        // A browser ends the last line, other clients do not.
        if matches!(rest, b"--" | b"--\r\n") && !parameters.is_empty() {
            return Ok(parameters);
        }
        if parameters.len() == TOKEN_REQUEST_PARAMETERS_MAX {
            return Err(RequestFault::too_many_parameters());
        }
        let part = rest.strip_prefix(b"\r\n").ok_or_else(misshapen)?;
        let end = memmem::find(part, delimiter.as_bytes()).ok_or_else(misshapen)?;
        parameters.push(field(&part[..end])?);
        rest = &part[end + delimiter.len()..];
    }
}

fn field(part: &[u8]) -> Result<Parameter, RequestFault> {
    let head_end = memmem::find(part, b"\r\n\r\n").ok_or_else(|| RequestFault::body(SHAPE))?;
    let (head, value) = (&part[..head_end], &part[head_end + 4..]);
    let head = std::str::from_utf8(head).map_err(|_| RequestFault::body("must be UTF-8"))?;
    let mut name = None;
    let mut typed = false;
    for line in head.split("\r\n") {
        let (header, content) = line.split_once(':').ok_or_else(|| RequestFault::body(SHAPE))?;
        let content = content.trim_matches([' ', '\t']);
        if header.eq_ignore_ascii_case("content-disposition") && name.is_none() {
            name = Some(field_name(content).ok_or_else(|| RequestFault::body(DISPOSITION))?);
        } else if header.eq_ignore_ascii_case("content-type") && !typed && media_type::is_plain_text(content)
        {
            typed = true;
        } else {
            return Err(RequestFault::body(HEADERS));
        }
    }
    let name = name.ok_or_else(|| RequestFault::body(DISPOSITION))?;
    let value = std::str::from_utf8(value).map_err(|_| RequestFault::parameter(name, "must be UTF-8"))?;
    Ok(Parameter { name: name.to_owned(), value: Secret::new(value.to_owned()) })
}

/// The name in quotes, where nothing is escaped: parsers differ in what `\` and `%22` mean (RFC 7578 section 2).
fn field_name(disposition: &str) -> Option<&str> {
    let (kind, parameter) = disposition.split_once(';')?;
    let (attribute, quoted) = parameter.trim_start_matches([' ', '\t']).split_once('=')?;
    let name = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let is_plain = !name.contains(['"', '\\', '%']) && !name.chars().any(char::is_control);
    let is_field = kind.eq_ignore_ascii_case("form-data") && attribute.eq_ignore_ascii_case("name");
    (is_plain && is_field).then_some(name)
}

#[cfg(test)]
mod tests;
