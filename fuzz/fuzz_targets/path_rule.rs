//! Request targets of any spelling.
//!
//! Held: what a naive router takes for the token endpoint is not passed through. The router here shares no code
//! with the gateway: it decodes, folds case, takes backslashes for slashes, collapses slashes, resolves or drops
//! dots, strips a language, a script, path parameters, suffixes and trailing marks, and routes by `q`.

#![no_main]

use http::Uri;
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;
use tfa_gateway::oauth::endpoint::{Profile, Route, TokenEndpoint};

/// What an input's bytes above 127 stand for, so that the fuzzer need not find it letter by letter.
const PIECES: &[&str] = &[
    "oauth2",
    "token",
    "/",
    "/oauth2/token",
    "oauth2/token",
    "%2f",
    "%252f",
    "..",
    "/../",
    "/./",
    "%2e",
    ";",
    ";x=1",
    "%00",
    "%20",
    "+",
    "\\",
    "%5c",
    "//",
    ".json",
    ".",
    "?",
    "?q=",
    "&q=",
    "&",
    "=",
    "q[]=",
    "%71",
    "%5B",
    "index.php",
    "en/",
    "%74",
    "%u0074",
    "%C0%AF",
    "%C3%B3",
    "\u{f3}",
    "o",
    "t",
    "T",
    "K",
    "%ff",
    "?r=",
    "?/",
    "~",
    "%E2%80%8B",
    "%EF%BC%8F",
    "%c1%b4",
    "x",
    "s",
    "#",
    "%3F",
    "%26",
    "%23",
    "*",
    "%0a",
    "?_url=",
    "&controller=",
    "&action=",
    "_",
    "-",
];

fn target(data: &[u8]) -> String {
    let piece = |byte: &u8| PIECES[usize::from(byte & 0x7F) % PIECES.len()].to_owned();
    let text = |byte: &u8| if byte.is_ascii() { char::from(*byte).to_string() } else { piece(byte) };
    data.iter().map(text).collect()
}

/// How a router of this sort differs from the next one.
#[derive(Clone, Copy)]
struct Habits {
    decodings: usize,
    plus_is_space: bool,
    /// `..` removes what is before it, or is dropped.
    climbs: bool,
    merges_slashes: bool,
}

fn all_habits() -> impl Iterator<Item = Habits> {
    (0..32_usize).map(|bits| Habits {
        decodings: 1 + (bits & 3),
        plus_is_space: bits & 4 != 0,
        climbs: bits & 8 != 0,
        merges_slashes: bits & 16 != 0,
    })
}

fn is_endpoint(text: &str, habits: Habits) -> bool {
    let mut text = text.to_owned();
    if habits.plus_is_space {
        text = text.replace('+', " ");
    }
    for _ in 0..habits.decodings {
        text = percent_decode_str(&text).decode_utf8_lossy().into_owned();
    }
    let text = text.to_lowercase().replace('\\', "/");
    let text = text.split('\0').next().unwrap_or_default();
    let mut kept: Vec<&str> = Vec::new();
    for segment in text.trim_start_matches('/').split('/') {
        match segment.split(';').next().unwrap_or_default() {
            "" if habits.merges_slashes => {}
            "." => {}
            ".." if habits.climbs => drop(kept.pop()),
            ".." => {}
            name => kept.push(name),
        }
    }
    kept.retain(|name| !name.is_empty());
    let mut rest = kept.as_slice();
    for prefix in ["index.php", "en"] {
        rest = rest.strip_prefix(&[prefix]).unwrap_or(rest);
    }
    let plain = |name: &str| name.split('.').next().unwrap_or_default().trim().to_owned();
    matches!(rest, [first, second, ..] if plain(first) == "oauth2" && plain(second) == "token")
}

/// Drupal 7: the last `q` of the query decides, else the path.
fn is_routed_to_endpoint(path: &str, query: Option<&str>, habits: Habits) -> bool {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let once = Habits { decodings: habits.decodings - 1, plus_is_space: false, ..habits };
    match pairs.filter(|(name, _)| name.trim_start_matches(' ') == "q").last() {
        Some((_, route)) => is_endpoint(&route, once) || is_endpoint(path, habits),
        None => is_endpoint(path, habits),
    }
}

fuzz_target!(|data: &[u8]| {
    let target = target(data);
    let Ok(uri) = target.parse::<Uri>() else { return };
    let (path, query) = (uri.path(), uri.query());
    let taken = all_habits().any(|habits| is_routed_to_endpoint(path, query, habits));
    for profile in [Profile::Generic, Profile::Drupal7, Profile::Php] {
        let judged = TokenEndpoint::default().with_profile(profile).route(path, query);
        assert!(!taken || judged != Route::Elsewhere, "{profile:?} passes {target:?}");
        if judged == Route::Token {
            assert!(matches!(path, "/oauth2/token" | "/oauth2/token/"), "{target:?}");
        }
    }
});
