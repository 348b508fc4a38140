use http::{HeaderValue, header::AUTHORIZATION};
use proptest::prelude::*;

use super::*;

const TOKEN: &str = "2YotnFZFEjr1zCsicMWpAA";

fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
}

fn typed(media_type: &str) -> HeaderMap {
    if media_type.is_empty() { HeaderMap::new() } else { headers(&[(CONTENT_TYPE, media_type)]) }
}

/// What a client gets of a body that comes in these pieces, and why the rest did not follow.
fn pass(answer: &HeaderMap, pieces: &[&[u8]]) -> (Vec<u8>, Option<Tripped>) {
    pass_to(&Known::default(), answer, pieces)
}

fn pass_to(known: &Known, answer: &HeaderMap, pieces: &[&[u8]]) -> (Vec<u8>, Option<Tripped>) {
    let (mut passed, mut held) = (Vec::new(), Vec::new());
    let mut tripwire = match Tripwire::for_answer(known, StatusCode::OK, answer) {
        Ok(Some(tripwire)) => tripwire,
        Ok(None) => return (pieces.concat(), None),
        Err(tripped) => return (passed, Some(tripped)),
    };
    if let [whole] = pieces {
        let by_pieces = {
            let mut tripwire = Tripwire::for_answer(known, StatusCode::OK, answer).unwrap().unwrap();
            tripwire.feed(whole).and_then(|_| tripwire.finish()).err()
        };
        let at_once =
            Tripwire::for_answer(known, StatusCode::OK, answer).unwrap().unwrap().whole(whole).err();
        assert_eq!(at_once, by_pieces, "at once and in one piece");
    }
    for piece in pieces {
        held.extend_from_slice(piece);
        match tripwire.feed(piece) {
            Ok(Sight::Clear) => passed.append(&mut held),
            Ok(Sight::Unsure) => {}
            Err(tripped) => return (passed, Some(tripped)),
        }
    }
    match tripwire.finish() {
        Ok(()) => passed.append(&mut held),
        Err(tripped) => return (passed, Some(tripped)),
    }
    (passed, None)
}

fn issuing() -> Vec<(&'static str, String)> {
    let json = format!(r#"{{"access_token":"{TOKEN}","expires_in":3600,"token_type":"Bearer"}}"#);
    let escaped = json.replace('"', "\\\"");
    let padding = "x".repeat(70_000);
    let page = "<!DOCTYPE html>\n<html><body>";
    vec![
        ("application/json", json.clone()),
        ("application/json", format!(r#"{{"scope":"{padding}","access_token" :  "{TOKEN}"}}"#)),
        ("application/json", format!(r#"{{"\u0061ccess_toke\u006E":"{TOKEN}"}}"#)),
        ("application/json", format!("<br />\n<b>Notice</b>: Undefined index: x\n{json}")),
        ("application/vnd.api+json", format!(r#"{{"data":[{{"access_token":"{TOKEN}"}}]}}"#)),
        ("application/json", format!("{{\"access_token\"{}:\"{TOKEN}\"}}", " ".repeat(3000))),
        ("application/json", format!(r#"{{"access_token":"\"{TOKEN}"}}"#)),
        ("", json.clone()),
        ("", format!("\n\n  {json}")),
        ("text/html; charset=utf-8", json.clone()),
        ("text/html", format!("<br />\n<b>Warning</b>: mysql_connect()\n{json}")),
        ("text/plain", format!("Notice: something\n\n{json}")),
        ("text/javascript", format!("/**/jQuery_1({json});")),
        ("text/javascript", format!("/**/ typeof cb === 'function' && cb({json});")),
        ("application/javascript", format!("for(;;);{json}")),
        ("application/octet-stream", json.clone()),
        ("image/png", json.clone()),
        ("text/css", format!(" {json}")),
        ("text/html", format!("<!-- a template -->{json}")),
        ("text/plain", format!("token_type=bearer&access_token={TOKEN}")),
        ("application/xml", format!("<oauth><x:access_token type=\"a\">{TOKEN}</x:access_token></oauth>")),
        ("application/octet-stream", format!("\u{feff}{json}")),
        ("application/json", format!(r#"{{"responses":[{{"body":"{escaped}"}}]}}"#)),
        ("text/plain", format!("access_token={TOKEN}&expires=3600")),
        ("application/x-www-form-urlencoded", format!("access_token={TOKEN}&token_type=bearer")),
        (
            "application/xml",
            format!("<?xml version=\"1.0\"?><oauth><access_token>{TOKEN}</access_token></oauth>"),
        ),
        (
            "text/html",
            format!("{page}<script>location = \"https://a/cb#state=x&access_token={TOKEN}\"</script>"),
        ),
        (
            "text/html",
            format!("{page}<meta http-equiv=refresh content='0;url=https://a/cb#access_token={TOKEN}'>"),
        ),
        // What PHP makes of JSON that may stand in a page, and JSON within it.
        (
            "application/json",
            format!("{{\"data\":\"{{\\u0022access_token\\u0022:\\u0022{TOKEN}\\u0022}}\"}}"),
        ),
        (
            "application/json",
            format!("{{\"d\":\"{{\\\\u0022access_token\\\\u0022:\\\\u0022{TOKEN}\\\\u0022}}\"}}"),
        ),
        (
            "application/json",
            format!(
                "[{{\"command\":\"insert\",\"data\":\"\\u003Cinput type=\\u0022hidden\\u0022 \
                 name=\\u0022access_token\\u0022 value=\\u0022{TOKEN}\\u0022\\u003E\"}}]"
            ),
        ),
        ("application/json", format!("[{{\"url\":\"https:\\/\\/app\\/cb#access_token={TOKEN}\"}}]")),
        // Behind another token, and written as frameworks escape attributes.
        (
            "text/html",
            format!(
                "{page}<script>location='https://a/cb#id_token={}&access_token={TOKEN}'",
                "x".repeat(2000)
            ),
        ),
        ("", format!("token_type=bearer&id_token={}&access_token={TOKEN}&expires=1", "x".repeat(2000))),
        ("text/html", format!("{page}<a href=\"https://a/cb&#x23;access_token&#x3d;{TOKEN}\">")),
        ("text/html", format!("{page}<input type=\"hidden\" name=\"access_token\" value=\n\"{TOKEN}\">")),
        ("application/javascript", format!("throw 1; < don't be evil >{{\"access_token\":\"{TOKEN}\"}}")),
        ("application/javascript", format!("window.cb && cb({{\"access_token\":\"{TOKEN}\"}})")),
        ("text/javascript", format!("var settings = {{\"a\":1,\"access_token\":\"{TOKEN}\"}};")),
        ("text/javascript", format!("{}{{\"access_token\":\"{TOKEN}\"}}", "\n".repeat(70))),
        ("text/html", format!("{page}<a href=\"https://a/cb\\u0023access_token\\u003d{TOKEN}\">")),
        (
            "text/html",
            format!("{page}<form><input type=\"hidden\" name=\"access_token\" value=\"{TOKEN}\"/>"),
        ),
        ("text/html", format!("{page}<form><INPUT value='{TOKEN}' NAME = 'access_token' TYPE='hidden'>")),
        ("", format!("{page}<input type=hidden value={TOKEN} name=access_token>")),
    ]
}

#[test]
fn what_issues_a_token_is_stopped_however_it_is_cut() {
    for (media_type, body) in issuing() {
        let bytes = body.as_bytes();
        let words = body.find("ccess").unwrap().min(body.find(TOKEN).unwrap());
        for cut in words.saturating_sub(40)..=(words + 60).min(bytes.len()) {
            for second in [cut, (cut + 1).min(bytes.len()), (cut + 9).min(bytes.len())] {
                let pieces = [&bytes[..cut], &bytes[cut..second], &bytes[second..]];
                let (passed, tripped) = pass(&typed(media_type), &pieces);
                assert_eq!(
                    tripped,
                    Some(Tripped::Body),
                    "{media_type}, cut at {cut} and {second}: {body:.200}"
                );
                let passed = String::from_utf8_lossy(&passed).into_owned();
                assert!(!passed.contains(TOKEN), "{media_type}, cut at {cut} and {second}: {passed:.400}");
            }
        }
    }
}

#[test]
fn byte_by_byte_no_part_of_the_value_leaves() {
    for (media_type, body) in issuing() {
        let pieces: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
        let (passed, tripped) = pass(&typed(media_type), &pieces);
        assert_eq!(tripped, Some(Tripped::Body), "{media_type}");
        let value_at = body.find(TOKEN).unwrap();
        assert!(passed.len() <= value_at, "{media_type}: {} of {value_at}", passed.len());
    }
}

#[test]
fn a_token_that_the_client_has_already_passes_and_no_other_does() {
    let body = format!(r#"{{"user_id":"1","access_token":"{TOKEN}"}}"#);
    let knows = |target: &str, authorization: Option<&str>| {
        let line = authorization.map(|value| (AUTHORIZATION, HeaderValue::from_str(value).unwrap()));
        Known::from_request(&target.parse().unwrap(), &line.into_iter().collect())
    };
    let tripped = |known: &Known| {
        let whole = pass_to(known, &typed("application/json"), &[body.as_bytes()]).1;
        let pieces: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
        let (passed, tripped) = pass_to(known, &typed("application/json"), &pieces);
        assert_eq!(tripped, whole);
        if tripped.is_some() {
            let value_at = body.find(TOKEN).unwrap();
            assert!(passed.len() <= value_at, "{} of {value_at}", passed.len());
        }
        whole
    };
    assert_eq!(tripped(&knows(&format!("/oauth2/tokens/{TOKEN}"), None)), None);
    assert_eq!(tripped(&knows(&format!("/info?access_token={}", TOKEN.replace('m', "%6d")), None)), None);
    assert_eq!(tripped(&knows("/info", Some(&format!("Bearer {TOKEN}")))), None);
    for known in [knows("/x", None), knows("/oauth2/tokens/2YotnFZFEjr1zCsicMWpAB", Some("Bearer 2Yotn"))] {
        assert_eq!(tripped(&known), Some(Tripped::Body), "{known:?}");
    }
    // A slash that is escaped ends no token.
    let prefix = knows("/x?x=constant-prefix-16", None);
    let longer =
        pass_to(&prefix, &typed("application/json"), &[br#"{"access_token":"constant-prefix-16\/SECRET"}"#])
            .1;
    assert_eq!(longer, Some(Tripped::Body));
    let slashed = knows("/x?x=constant/prefix/16", None);
    let same =
        pass_to(&slashed, &typed("application/json"), &[br#"{"access_token":"constant\/prefix\/16"}"#]).1;
    assert_eq!(same, None);
    // Nobody repeats a token for ever: each time, the request is searched.
    let often = format!("[{}]", body.clone() + &format!(",{body}").repeat(200));
    let repeated = knows(&format!("/oauth2/tokens/{TOKEN}"), None);
    assert_eq!(pass_to(&repeated, &typed("application/json"), &[often.as_bytes()]).1, Some(Tripped::Body));
    let short = pass_to(&knows("/a", None), &typed("application/json"), &[br#"{"access_token":"a"}"#]).1;
    assert_eq!(short, Some(Tripped::Body));
}

#[test]
fn a_short_script_is_judged_alike_however_it_is_cut() {
    let body = b"<!doctype html><script><access_token>on=\"ht";
    let whole = pass(&typed("text/javascript"), &[body]);
    let pieces: Vec<&[u8]> = body.chunks(1).collect();
    assert_eq!(pass(&typed("text/javascript"), &pieces), whole);
    assert_eq!(whole, (body.to_vec(), None));
}

#[test]
fn a_form_with_an_escaped_letter_is_judged_alike_however_it_is_cut() {
    let body = format!("\\u0061ccess_token={TOKEN}");
    let whole = pass(&typed("text/html"), &[body.as_bytes()]).1;
    let pieces: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
    assert_eq!(pass(&typed("text/html"), &pieces).1, whole);
}

#[test]
fn nothing_is_held_for_long_and_zeros_count() {
    for (media_type, byte) in
        [("application/octet-stream", 0), ("image/png", b' '), ("", 0), ("text/html", 0)]
    {
        let mut tripwire =
            Tripwire::for_answer(&Known::default(), StatusCode::OK, &typed(media_type)).unwrap().unwrap();
        let piece = [byte; 1024];
        let unsure = (0..200).filter(|_| tripwire.feed(&piece).unwrap() == Sight::Unsure).count();
        assert!(unsure <= 4, "{media_type}: {unsure}");
        assert!(tripwire.is_over(), "{media_type}");
    }
    // Zeros that unpack to a thousand times as many are not unpacked to their end.
    let bomb = gzipped(&vec![0; 32 * 1024 * 1024]);
    let head = headers(&[(CONTENT_TYPE, "text/html"), (CONTENT_ENCODING, "gzip")]);
    let mut tripwire = Tripwire::for_answer(&Known::default(), StatusCode::OK, &head).unwrap().unwrap();
    tripwire.feed(&bomb[..2048]).unwrap();
    assert!(tripwire.is_over());
}

#[test]
fn a_wide_encoding_hides_nothing() {
    let json = format!(r#"{{"access_token":"{TOKEN}"}}"#);
    let little: Vec<u8> = json.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = json.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for body in [little, big] {
        for media_type in ["application/json;charset=UTF-16", "application/json", "", "text/plain"] {
            assert_eq!(pass(&typed(media_type), &[&body]).1, Some(Tripped::Body), "{media_type}");
        }
    }
    let foreign = pass(&typed("application/json; charset=ibm037"), &[b"\xC0\x7F\x81"]).1;
    assert!(matches!(foreign, Some(Tripped::Unreadable(_))));
}

#[test]
fn what_speaks_of_tokens_passes() {
    let page = "<!doctype html><html><head>";
    for (media_type, body) in [
        (
            "application/json",
            r#"{"error":"invalid_request","hint":"Check the `access_token` parameter"}"#.to_owned(),
        ),
        ("application/json", r#"{"access_token":null,"refresh_access_token":"x"}"#.to_owned()),
        ("application/json", r#"{"access_token":"","a":1}"#.to_owned()),
        (
            "application/json",
            r#"{"properties":{"access_token":{"type":"string"}},"required":["access_token"]}"#.to_owned(),
        ),
        ("text/html", format!("{page}<pre>{{\"access_token\":\"{TOKEN}\"}}</pre>")),
        ("text/html", format!("{page}<script>settings({{\"access_token\":\"pk.{TOKEN}\"}})</script>")),
        ("text/html", format!("{page}<img src=\"https://graph.example/p?a=1&amp;access_token={TOKEN}\">")),
        ("text/html", format!("{page}<input type=\"text\" name=\"access_token\" value=\"{TOKEN}\">")),
        ("text/html", format!("{page}<input type=\"hidden\" name=\"access_token\" value=\"\">")),
        ("text/html", format!("{page}<p>the access_token=… parameter of the #fragment")),
        (
            "application/javascript",
            "!function(){var a={access_token:b.access_token,d:\"access_token\"}}()".to_owned(),
        ),
        ("text/css", format!("a{{b:c}} {{\"access_token\":\"{TOKEN}\"}}")),
        ("image/png", format!("\u{89}PNG\r\n {{\"access_token\":\"{TOKEN}\"}}")),
        ("application/octet-stream", format!("PK\u{3}\u{4} \"access_token\":\"{TOKEN}\"")),
        ("application/json", r#"{"caf\u00e9":"\u003Cb\u003E"}"#.to_owned()),
    ] {
        let whole = pass(&typed(media_type), &[body.as_bytes()]);
        assert_eq!(whole, (body.clone().into_bytes(), None), "{media_type}: {body}");
        let pieces: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
        assert_eq!(
            pass(&typed(media_type), &pieces),
            (body.clone().into_bytes(), None),
            "{media_type}: {body}"
        );
    }
}

fn gzipped(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_compressed_answer_is_looked_into() {
    for (media_type, body) in issuing() {
        let encoded = gzipped(body.as_bytes());
        let mut head = typed(media_type);
        head.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        for size in [1, 7, encoded.len()] {
            let pieces: Vec<&[u8]> = encoded.chunks(size).collect();
            let tripped = pass(&head, &pieces).1;
            let is_file = media_type.ends_with("octet-stream") && body.starts_with('\u{feff}');
            assert!(tripped == Some(Tripped::Body) || is_file, "{media_type}: {body:.200}");
        }
    }
}

#[test]
fn a_compressed_page_passes_as_it_came() {
    let page = format!("<!doctype html>{}", "a page of text ".repeat(20_000));
    let encoded = gzipped(page.as_bytes());
    let head = headers(&[(CONTENT_TYPE, "text/html"), (CONTENT_ENCODING, "gzip")]);
    let pieces: Vec<&[u8]> = encoded.chunks(100).collect();
    assert_eq!(pass(&head, &pieces), (encoded.clone(), None));
    // What follows the bytes that are watched need not even be sound.
    let json = gzipped(br#"{"a":1}"#);
    let head = headers(&[(CONTENT_TYPE, "application/json"), (CONTENT_ENCODING, "gzip")]);
    assert!(matches!(pass(&head, &[&json[..12], b"rubbish"]).1, Some(Tripped::Unreadable(_))));
}

#[test]
fn brotli_is_looked_into() {
    // `{"access_token":"2YotnFZFEjr1zCsicMWpAA"}`, stored as one raw metablock (RFC 7932 section 9.2).
    let json = format!(r#"{{"access_token":"{TOKEN}"}}"#);
    let encoded = raw_brotli(json.as_bytes());
    let head = headers(&[(CONTENT_TYPE, "application/json"), (CONTENT_ENCODING, "br")]);
    for size in [1, 5, encoded.len()] {
        let pieces: Vec<&[u8]> = encoded.chunks(size).collect();
        assert_eq!(pass(&head, &pieces).1, Some(Tripped::Body));
    }
    let innocent = raw_brotli(br#"{"a":"b"}"#);
    assert_eq!(pass(&head, &[&innocent]), (innocent.clone(), None));
}

/// A stream of one uncompressed metablock of at most 65536 bytes, and an empty last one.
fn raw_brotli(text: &[u8]) -> Vec<u8> {
    // WBITS 16 (one bit 0), ISLAST 0, MNIBBLES 4 (00), MLEN - 1 in 16 bits, ISUNCOMPRESSED 1.
    let header = u32::try_from(text.len() - 1).unwrap() << 4 | 1 << 20;
    let mut stream = header.to_le_bytes()[..3].to_vec();
    stream.extend_from_slice(text);
    stream.push(3); // ISLAST 1, ISLASTEMPTY 1
    stream
}

#[test]
fn codings_that_nobody_asked_for_are_stopped() {
    for coding in ["zstd", "deflate", "compress", "gzip, br", "aes128gcm"] {
        let head = headers(&[(CONTENT_ENCODING, coding)]);
        assert!(matches!(pass(&head, &[b"x"]).1, Some(Tripped::Unreadable(_))), "{coding}");
    }
    let picture = headers(&[(CONTENT_TYPE, "image/png"), (CONTENT_ENCODING, "zstd")]);
    assert_eq!(pass(&picture, &[b"x"]).1, None);
}

#[test]
fn a_redirect_with_a_token_is_stopped() {
    for target in [
        format!("https://a/cb#access_token={TOKEN}&token_type=bearer"),
        format!("https://a/cb#state=x&access_token={TOKEN}"),
        format!("/cb#access%5Ftoken%3D{TOKEN}"),
        format!("https://a/cb#id_token={TOKEN}"),
        format!("https://a/cb?access_token={TOKEN}"),
        format!("https://a/cb?state=x&access%5Ftoken={TOKEN}&y=z#top"),
    ] {
        let head = headers(&[(LOCATION, &target)]);
        assert_eq!(pass(&head, &[]).1, Some(Tripped::Redirect), "{target}");
    }
    for target in ["https://a/cb?code=x", "/api/x/?access_token=x", "https://a/cb#error=access_denied"] {
        assert_eq!(pass(&headers(&[(LOCATION, target)]), &[]).1, None, "{target}");
    }
}

#[test]
fn a_part_without_the_beginning_is_stopped_unless_the_whole_is_too_long_for_a_token() {
    let part = |media_type, range: &str| {
        let head = headers(&[(CONTENT_TYPE, media_type), (CONTENT_RANGE, range)]);
        Tripwire::for_answer(&Known::default(), StatusCode::PARTIAL_CONTENT, &head)
            .map(|watched| watched.is_some())
    };
    assert!(matches!(part("application/json", "bytes 17-80/81"), Err(Tripped::Unreadable(_))));
    assert!(matches!(part("text/html", "bytes 17-80/*"), Err(Tripped::Unreadable(_))));
    assert_eq!(part("application/json", "bytes 0-80/81"), Ok(true));
    assert_eq!(part("text/plain", "bytes 5000-9999/73400320"), Ok(true));
    assert_eq!(part("video/mp4", "bytes 17-80/81"), Ok(false));
    assert_eq!(part("application/octet-stream", "bytes 17-80/81"), Ok(false));
}

proptest! {
    #[test]
    fn whatever_passes_is_passed_unchanged(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..6)
    ) {
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        for media_type in ["application/json", "text/html", ""] {
            let (passed, tripped) = pass(&typed(media_type), &pieces);
            if tripped.is_none() {
                prop_assert_eq!(&passed, &pieces.concat());
            }
        }
    }

    #[test]
    fn how_a_text_is_cut_makes_no_difference(before in "[ -~]{0,80}", after in "[ -~]{0,80}", cuts in proptest::collection::vec(0_usize..400, 0..5)) {
        for middle in [format!("\"access_token\":\"{TOKEN}\""), format!("#access_token={TOKEN}"), "access_token".to_owned()] {
            let body = format!("{before}{middle}{after}");
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
            at.extend([0, body.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|w| &body.as_bytes()[w[0]..w[1]]).collect();
            for media_type in ["text/plain", "text/html", "text/javascript", "application/json", "application/octet-stream"] {
                let whole = pass(&typed(media_type), &[body.as_bytes()]).1;
                prop_assert_eq!(pass(&typed(media_type), &pieces).1, whole, "{}", media_type);
            }
        }
    }
}
