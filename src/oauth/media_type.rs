//! The media type of a token request (RFC 9110 section 8.3), read strictly.

use http::{HeaderMap, header};

use super::RequestFault;

const NAME: &str = "Content-Type";

/// What a body is, before it is parsed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MediaType {
    Form,
    Json,
    Multipart { boundary: String },
}

/// Reads how the body is encoded. Servers disagree about doubled, listed or half-formed media types, so
/// each of them is refused; so is any charset but UTF-8, and a body with a Content-Encoding.
pub(super) fn read(headers: &HeaderMap, takes_multipart: bool) -> Result<MediaType, RequestFault> {
    let codings = headers.get_all(header::CONTENT_ENCODING);
    if codings.iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(RequestFault::header(
            "Content-Encoding",
            "must be absent: the body must not be compressed",
        ));
    }
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let value = values.next().ok_or_else(|| RequestFault::header(NAME, "is required"))?;
    if values.next().is_some() {
        return Err(RequestFault::header(NAME, "must appear only once"));
    }
    let text = value.to_str().map_err(|_| RequestFault::header(NAME, "must be ASCII"))?;
    let (essence, parameters) = text.split_once(';').map_or((text, None), |(e, p)| (e, Some(p)));
    let boundary = check_parameters(parameters.unwrap_or_default())?;
    let multipart_rule = "must be application/x-www-form-urlencoded, application/json or multipart/form-data";
    match essence.trim().to_ascii_lowercase().as_str() {
        "application/x-www-form-urlencoded" => Ok(MediaType::Form),
        "application/json" => Ok(MediaType::Json),
        "multipart/form-data" if takes_multipart => match boundary {
            Some(boundary) if is_boundary(&boundary) => Ok(MediaType::Multipart { boundary }),
            _ => Err(RequestFault::header(
                NAME,
                "must have a boundary of 1 to 70 letters, digits and marks of '+-._",
            )),
        },
        _ if takes_multipart => Err(RequestFault::header(NAME, multipart_rule)),
        _ => Err(RequestFault::header(NAME, "must be application/x-www-form-urlencoded or application/json")),
    }
}

/// Whether a part of a multipart body says of itself that it is what all of them are.
pub(super) fn is_plain_text(value: &str) -> bool {
    let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
    let parameters = parameters.trim_matches([' ', '\t']);
    let is_text = essence.eq_ignore_ascii_case("text/plain");
    let Some((name, charset)) = parameters.split_once('=') else {
        return is_text && parameters.is_empty();
    };
    is_text && name.eq_ignore_ascii_case("charset") && unquoted(charset).eq_ignore_ascii_case("utf-8")
}

/// RFC 9110 section 5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// What RFC 2046 section 5.1.1 allows and a token may be, so that it needs no quotes.
fn is_boundary(text: &str) -> bool {
    text.len() <= 70 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"'+-._".contains(&b))
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value)
}

/// Parameters are `name=token` or `name="quoted"`, without escapes; `charset` is UTF-8 and comes once, as does
/// `boundary`, which is returned.
fn check_parameters(parameters: &str) -> Result<Option<String>, RequestFault> {
    let malformed = || RequestFault::header(NAME, "has a malformed parameter");
    let mut boundary = None;
    let mut charset_seen = false;
    for parameter in parameters.split(';') {
        if parameter.trim().is_empty() {
            continue;
        }
        let (name, value) = parameter.split_once('=').ok_or_else(malformed)?;
        let bare = unquoted(value.trim());
        if !is_token(name.trim()) || !is_token(bare) {
            return Err(malformed());
        }
        if name.trim().eq_ignore_ascii_case("charset") {
            if charset_seen || !bare.eq_ignore_ascii_case("utf-8") {
                return Err(RequestFault::header(NAME, "must have no charset but utf-8"));
            }
            charset_seen = true;
        }
        if name.trim().eq_ignore_ascii_case("boundary") && boundary.replace(bare.to_owned()).is_some() {
            return Err(RequestFault::header(NAME, "must have one boundary"));
        }
    }
    Ok(boundary)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_with(takes_multipart: bool, values: &[&'static str]) -> Result<MediaType, RequestFault> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CONTENT_TYPE, http::HeaderValue::from_static(value));
        }
        super::read(&headers, takes_multipart)
    }

    fn read(values: &[&'static str]) -> Result<MediaType, RequestFault> {
        read_with(false, values)
    }

    #[test]
    fn forms_and_json_are_read_as_clients_spell_them() {
        for spelling in [
            "application/x-www-form-urlencoded",
            "Application/X-WWW-Form-UrlEncoded",
            "application/x-www-form-urlencoded;charset=utf-8",
            "application/x-www-form-urlencoded; charset=\"UTF-8\"",
            "application/x-www-form-urlencoded; charset=utf-8;",
        ] {
            assert_eq!(read(&[spelling]), Ok(MediaType::Form), "{spelling}");
        }
        assert_eq!(read(&["application/json; charset=utf-8"]), Ok(MediaType::Json));
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        for values in [
            &[][..],
            &["application/x-www-form-urlencoded", "application/json"],
            &["application/x-www-form-urlencoded, application/json"],
            &["application/x-www-form-urlencoded x"],
            &["application/jsonx"],
            &["application/json-patch+json"],
            &["text/json"],
            &["multipart/form-data; boundary=x"],
            &["application/x-www-form-urlencoded; charset=ibm037"],
            &["application/x-www-form-urlencoded; charset=utf-8; charset=ibm037"],
            &["application/x-www-form-urlencoded; charset=\"utf-8\\\""],
            &["application/x-www-form-urlencoded; charset"],
        ] {
            assert!(read(values).is_err(), "{values:?}");
        }
    }

    #[test]
    fn multipart_is_read_where_it_is_wanted_and_has_one_plain_boundary() {
        for spelling in [
            "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
            "Multipart/Form-Data;boundary=\"----WebKitFormBoundary7MA4YWxkTrZu0gW\"; charset=utf-8",
        ] {
            let boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gW".to_owned();
            assert_eq!(read_with(true, &[spelling]), Ok(MediaType::Multipart { boundary }), "{spelling}");
            assert!(read(&[spelling]).is_err());
        }
        for spelling in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"\"",
            "multipart/form-data; boundary=a; boundary=a",
            "multipart/form-data; boundary=a; Boundary=b",
            "multipart/form-data; boundary=a b",
            "multipart/form-data; boundary=\"a b\"",
            "multipart/form-data; boundary=a,b",
            "multipart/form-data; boundary=a*b",
            "multipart/form-data, boundary=a",
            "multipart/form-data; boundary=a; charset=utf-16",
            "multipart/mixed; boundary=a",
            "multipart/form-datax; boundary=a",
            "multipart/form-data; boundary=01234567890123456789012345678901234567890123456789012345678901234567890",
        ] {
            assert!(read_with(true, &[spelling]).is_err(), "{spelling}");
        }
    }
}
