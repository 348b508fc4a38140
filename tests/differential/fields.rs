//! Methods and header fields that make one server read a request otherwise than another.

use super::{bodies::Style, draft::Draft, random::Random};

const METHODS: &[&str] = &[
    "post", "Post", "PosT", "GET", "get", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "QUERY", "PROPFIND",
    "FOO", "POST1",
];

/// Types that somebody takes for a form.
const FORMS: &[&str] = &[
    "APPLICATION/X-WWW-FORM-URLENCODED",
    "application/x-www-form-urlencoded; charset=UTF-8",
    "application/x-www-form-urlencoded;charset=utf-8",
    "application/x-www-form-urlencoded; charset=\"utf-8\"",
    "application/x-www-form-urlencoded; charset=iso-8859-1",
    "application/x-www-form-urlencoded; charset=utf-16",
    "application/x-www-form-urlencoded; charset=utf-7",
    "application/x-www-form-urlencoded; charset=ibm037",
    "application/x-www-form-urlencoded; boundary=BB",
    "application/x-www-form-urlencoded;",
    "application/x-www-form-urlencoded x",
    "application/x-www-form-urlencoded, application/json",
    " application/x-www-form-urlencoded",
    "application/x-www-form-urlencodedx",
    "application/www-form-urlencoded",
    "text/plain",
    "*/*",
    "",
];

/// Types that somebody takes for JSON.
const JSONS: &[&str] = &[
    "application/json; charset=utf-8",
    "Application/JSON",
    "application/json;charset=utf-16",
    "application/json; odata=verbose",
    "application/jsonx",
    "application/jsonrequest",
    "application/vnd.api+json",
    "application/json-patch+json",
    "application/ld+json",
    "text/json",
    "text/x-json",
    "application/json, application/x-www-form-urlencoded",
    "application/json;",
    " application/json ",
    "text/plain",
    "",
];

/// Types that somebody takes for parts.
const PARTS: &[&str] = &[
    "multipart/form-data; boundary=BB",
    "multipart/form-data; boundary=\"BB\"",
    "multipart/form-data;boundary=BB;",
    "Multipart/Form-Data; Boundary=BB",
    "multipart/form-data; boundary=BB; charset=utf-16",
    "multipart/form-data; boundary=\"B\\B\"",
    "multipart/form-data; boundary=XX; boundary=BB",
    "multipart/form-data, application/x-www-form-urlencoded; boundary=BB",
    "multipart/mixed; boundary=BB",
    "multipart/form-data",
];

/// Fields by which a request says that it is another one.
const OVERRIDES: &[(&str, &str)] = &[
    ("X-HTTP-Method-Override", "POST"),
    ("X-HTTP-Method-Override", "GET"),
    ("X-HTTP-Method", "POST"),
    ("X-Method-Override", "PUT"),
    ("X_HTTP_Method_Override", "POST"),
    ("X-Original-URL", "/oauth2/token"),
    ("X-Rewrite-URL", "/oauth2/token"),
    ("X_Original_URL", "/oauth2/token"),
    ("X-Original-URL", "/x"),
    ("X-Forwarded-Prefix", "/oauth2"),
    ("X-Forwarded-Host", "other.test"),
    ("Content-Encoding", "gzip"),
    ("Content-Encoding", "identity"),
    ("Content-Encoding", "identity, gzip"),
    ("Content_Encoding", "gzip"),
    ("Content-Transfer-Encoding", "base64"),
    ("Content_Length", "5"),
    ("Content_Type", "application/json"),
    ("Content_Type", "application/x-www-form-urlencoded"),
    ("Content.Type", "multipart/form-data; boundary=BB"),
    ("Content-Type", "application/json"),
    ("Content-Type", "application/x-www-form-urlencoded"),
    ("content-type", "text/plain"),
    ("Cookie", "grant_type=password; username=bob; password=x"),
    ("Cookie", "grant_type=refresh_token"),
    ("Cookie", "username=alice"),
    ("Cookie", "username[]=carol"),
    ("X-Requested-With", "XMLHttpRequest"),
    ("X_Drupal_TFA", "000000"),
    ("Authorization", "Basic dGVzdGNsaWVudDp0ZXN0cGFzcw=="),
    ("Authorization", "Bearer x"),
    ("Accept-Encoding", "gzip"),
    ("Accept", "application/xml"),
    ("Range", "bytes=0-1"),
    ("If-None-Match", "*"),
    ("Proxy", "http://x.test"),
];

/// Another method.
pub(crate) fn method(random: &mut Random) -> String {
    random.pick(METHODS).to_owned()
}

/// The type of a style as RFC 6749, or everybody, has it.
pub(crate) fn plain_type(style: Style) -> &'static str {
    match style {
        Style::Form => "application/x-www-form-urlencoded",
        Style::Json => "application/json",
        Style::Multipart => PARTS[0],
    }
}

/// A type that fits the style more or less, or another style.
pub(crate) fn twisted_type(style: Style, random: &mut Random) -> &'static str {
    let style = if random.one_in(6) { random_style(random) } else { style };
    random.pick(match style {
        Style::Form => FORMS,
        Style::Json => JSONS,
        Style::Multipart => PARTS,
    })
}

pub(crate) fn random_style(random: &mut Random) -> Style {
    match random.below(8) {
        0..=4 => Style::Form,
        5 | 6 => Style::Json,
        _ => Style::Multipart,
    }
}

/// Adds a field, before the others or behind them.
pub(crate) fn add(draft: &mut Draft, random: &mut Random) {
    let (name, value) = OVERRIDES[random.below(OVERRIDES.len())];
    let at = if random.one_in(2) { 0 } else { draft.headers.len() };
    draft.headers.insert(at, (name.to_owned(), value.to_owned()));
}
