//! However an answer is cut into pieces, and whatever it holds, the tripwire says the same of it, lets through what it
//! was given, and never lets a token's value begin.
#![no_main]

use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};
use libfuzzer_sys::fuzz_target;
use tfa_gateway::oauth::tripwire::{Known, Sight, Tripwire};

const MEDIA_TYPES: [&str; 6] = [
    "application/json",
    "text/html; charset=utf-8",
    "text/plain",
    "application/octet-stream",
    "text/javascript",
    "",
];

/// What passes, and whether all of it did.
fn pass(head: &HeaderMap, pieces: &[&[u8]]) -> (Vec<u8>, bool) {
    let (mut passed, mut held) = (Vec::new(), Vec::new());
    let Ok(Some(mut tripwire)) = Tripwire::for_answer(&Known::default(), StatusCode::OK, head) else {
        return (pieces.concat(), true);
    };
    for piece in pieces {
        held.extend_from_slice(piece);
        match tripwire.feed(piece) {
            Ok(Sight::Clear) => passed.append(&mut held),
            Ok(Sight::Unsure) => {}
            Err(_) => return (passed, false),
        }
    }
    if tripwire.finish().is_err() {
        return (passed, false);
    }
    passed.append(&mut held);
    (passed, true)
}

fuzz_target!(|data: &[u8]| {
    let [kind, cut, cut_again, body @ ..] = data else { return };
    let media_type = MEDIA_TYPES[usize::from(*kind) % MEDIA_TYPES.len()];
    let mut head = HeaderMap::new();
    if !media_type.is_empty() {
        head.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    let first = usize::from(*cut) % (body.len() + 1);
    let second = first + usize::from(*cut_again) % (body.len() - first + 1);
    let whole = pass(&head, &[body]);
    let in_pieces = pass(&head, &[&body[..first], &body[first..second], &body[second..]]);
    let byte_by_byte = pass(&head, &body.chunks(1).collect::<Vec<_>>());
    for passed in [&whole, &in_pieces, &byte_by_byte] {
        assert!(body.starts_with(&passed.0), "altered");
        assert_eq!(passed.1, whole.1, "judged by how it was cut");
        if passed.1 {
            assert_eq!(passed.0, body, "lost");
        }
    }
    // What every JSON parser takes for an object with a token is stopped before the token begins.
    if media_type == "application/json"
        && let Ok(serde_json::Value::Object(members)) = serde_json::from_slice(body)
        && let Some(serde_json::Value::String(token)) = members.get("access_token")
        && !token.is_empty()
    {
        assert!(!whole.1, "a token passed");
        let parsed: Result<serde_json::Value, _> = serde_json::from_slice(&byte_by_byte.0);
        assert!(parsed.is_err(), "all of it passed");
    }
});
