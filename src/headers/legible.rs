//! Asks the upstream for answers that the gateway can look into (RFC 9110 sections 12.5.3 and 14.2).

use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT_CHARSET, ACCEPT_ENCODING, IF_RANGE, RANGE},
};

/// The codings that can be undone on the way.
const LEGIBLE: [&str; 4] = ["gzip", "br", "x-gzip", "identity"];

/// Leaves of `Accept-Encoding` the codings that can be undone, and drops `Accept-Charset` and a `Range` of
/// several parts, which a server need not heed. A client always takes an answer that is not encoded.
pub fn ask_legibly(headers: &mut HeaderMap) {
    if !headers.keys().any(|name| matches!(*name, ACCEPT_CHARSET | ACCEPT_ENCODING | RANGE)) {
        return;
    }
    headers.remove(ACCEPT_CHARSET);
    if headers.contains_key(RANGE) && headers.get_all(RANGE).iter().any(has_several_parts) {
        headers.remove(RANGE);
        headers.remove(IF_RANGE);
    }
    let mut lines = headers.get_all(ACCEPT_ENCODING).iter();
    match (lines.next(), lines.next()) {
        (None, _) => return,
        (Some(line), None) if codings(line).all(is_legible) => return,
        _ => {}
    }
    let kept: Vec<&str> = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .flat_map(codings)
        .filter(|coding| is_legible(coding))
        .collect();
    let kept = if kept.is_empty() { "identity".to_owned() } else { kept.join(", ") };
    if let Ok(value) = HeaderValue::from_str(&kept) {
        headers.insert(ACCEPT_ENCODING, value);
    }
}

fn has_several_parts(range: &HeaderValue) -> bool {
    range.as_bytes().contains(&b',')
}

fn codings(line: &HeaderValue) -> impl Iterator<Item = &str> {
    line.to_str().unwrap_or_default().split(',').map(str::trim).filter(|coding| !coding.is_empty())
}

fn is_legible(coding: &str) -> bool {
    let name = coding.split(';').next().unwrap_or_default().trim();
    LEGIBLE.iter().any(|legible| legible.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(lines: &[&'static str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT_ENCODING, HeaderValue::from_static(line));
        }
        ask_legibly(&mut headers);
        headers.get_all(ACCEPT_ENCODING).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn only_codings_that_can_be_undone_are_asked_for() {
        assert_eq!(asked(&["gzip, deflate, br, zstd"]), ["gzip, br"]);
        assert_eq!(asked(&["gzip;q=1.0, br;q=0.5"]), ["gzip;q=1.0, br;q=0.5"]);
        assert_eq!(asked(&["zstd", "GZIP"]), ["GZIP"]);
        assert_eq!(asked(&["*"]), ["identity"]);
        assert_eq!(asked(&["deflate"]), ["identity"]);
        assert_eq!(asked(&[]), [""; 0]);
    }

    #[test]
    fn a_range_of_one_part_is_kept_and_of_several_is_not() {
        for (range, is_kept) in [("bytes=100-", true), ("bytes=0-0,17-", false)] {
            let mut headers: HeaderMap = [(RANGE, HeaderValue::from_static(range))].into_iter().collect();
            ask_legibly(&mut headers);
            assert_eq!(headers.contains_key(RANGE), is_kept, "{range}");
        }
    }
}
