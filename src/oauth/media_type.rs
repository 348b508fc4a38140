//! The media type of a token request (RFC 9110 section 8.3), read strictly.

use http::{HeaderMap, header};

use super::{Encoding, RequestFault};

const NAME: &str = "Content-Type";

/// Reads how the body is encoded. Servers disagree about doubled, listed or half-formed media types, so
/// each of them is refused; so is any charset but UTF-8, and a body with a Content-Encoding.
pub(super) fn encoding(headers: &HeaderMap) -> Result<Encoding, RequestFault> {
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
    if let Some(parameters) = parameters {
        check_parameters(parameters)?;
    }
    match essence.trim().to_ascii_lowercase().as_str() {
        "application/x-www-form-urlencoded" => Ok(Encoding::Form),
        "application/json" => Ok(Encoding::Json),
        _ => Err(RequestFault::header(NAME, "must be application/x-www-form-urlencoded or application/json")),
    }
}

/// Parameters are `name=token` or `name="quoted"`, without escapes; `charset` is UTF-8 and comes once.
fn check_parameters(parameters: &str) -> Result<(), RequestFault> {
    let malformed = || RequestFault::header(NAME, "has a malformed parameter");
    let is_token = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let mut charset_seen = false;
    for parameter in parameters.split(';') {
        if parameter.trim().is_empty() {
            continue;
        }
        let (name, value) = parameter.split_once('=').ok_or_else(malformed)?;
        let value = value.trim();
        let bare = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        if !is_token(name.trim()) || !is_token(bare) {
            return Err(malformed());
        }
        if name.trim().eq_ignore_ascii_case("charset") {
            if charset_seen || !bare.eq_ignore_ascii_case("utf-8") {
                return Err(RequestFault::header(NAME, "must have no charset but utf-8"));
            }
            charset_seen = true;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&'static str]) -> Result<Encoding, RequestFault> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CONTENT_TYPE, http::HeaderValue::from_static(value));
        }
        encoding(&headers)
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
            assert_eq!(read(&[spelling]), Ok(Encoding::Form), "{spelling}");
        }
        assert_eq!(read(&["application/json; charset=utf-8"]), Ok(Encoding::Json));
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
}
