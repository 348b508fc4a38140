//! The one door: which request targets are the token endpoint, and which only look like it to a router
//! that folds, decodes or guesses.
//!
//! Invariant: a target that any known router takes for the endpoint is either [`Route::Token`] or
//! [`Route::Disguised`]; in doubt it is disguised.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::types::fold;

/// The token endpoint's path, and its segments as routers may fold them.
#[derive(Debug, Clone)]
pub struct TokenEndpoint {
    path: String,
    segments: Vec<String>,
    /// The last segment in lower case, which a plainly spelled target must hold to be looked at.
    needle: String,
}

/// What a request target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The endpoint, spelled as configured, with or without one trailing slash.
    Token,
    /// Something that a sloppy router takes for the endpoint.
    Disguised,
    /// Anything else.
    Elsewhere,
}

/// Encodings of encodings are followed so deep; what still changes then is no innocent target.
const DECODINGS_MAX: usize = 8;

impl Default for TokenEndpoint {
    /// `/oauth2/token`, where Drupal has it.
    fn default() -> Self {
        let segments = vec!["oauth2".to_owned(), "token".to_owned()];
        Self { path: "/oauth2/token".into(), segments, needle: "token".into() }
    }
}

impl TokenEndpoint {
    /// `None` unless the path starts with `/` and consists of plain segments: lower-case ASCII letters,
    /// digits, `-` and `_`.
    pub fn parse(path: &str) -> Option<Self> {
        let plain = |s: &str| {
            !s.is_empty()
                && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
        };
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let needle = (*segments.last()?).to_owned();
        segments.iter().all(|s| plain(s)).then(|| Self {
            path: path.to_owned(),
            segments: segments.into_iter().map(fold::coarse).collect(),
            needle,
        })
    }

    /// The one path that token requests are sent to.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Judges a request target.
    pub fn route(&self, path: &str, query: Option<&str>) -> Route {
        let by_query = query.is_some_and(|query| self.is_routed_by_query(query));
        if by_query {
            return Route::Disguised;
        }
        if path.strip_suffix('/').unwrap_or(path) == self.path {
            return Route::Token;
        }
        if self.is_plainly_elsewhere(path) || !self.is_disguised(path.as_bytes()) {
            return Route::Elsewhere;
        }
        Route::Disguised
    }

    /// The quick answer for most targets: ASCII, nothing encoded, and the last segment's letters nowhere.
    fn is_plainly_elsewhere(&self, path: &str) -> bool {
        let needle = self.needle.as_bytes();
        let plain = path.bytes().all(|b| b.is_ascii_graphic() && b != b'%');
        plain && !path.as_bytes().windows(needle.len()).any(|w| w.eq_ignore_ascii_case(needle))
    }

    /// Whether the endpoint's segments stand anywhere in the path, after all that routers are known to
    /// undo. Bytes that are not UTF-8 are dropped in one reading and taken for Latin-1 in another; a third
    /// ends where C strings and MySQL's three-byte `utf8` do.
    fn is_disguised(&self, path: &[u8]) -> bool {
        let Some(decoded) = decode_to_fixpoint(path) else { return true };
        let lossy = String::from_utf8_lossy(&decoded);
        let ends = |c: char| c == '\0' || c >= char::REPLACEMENT_CHARACTER;
        let cut = lossy.split(ends).next().unwrap_or_default();
        if self.stands_in(&lossy.replace(char::REPLACEMENT_CHARACTER, ""))
            || cut.len() < lossy.len() && self.stands_in(cut)
        {
            return true;
        }
        std::str::from_utf8(&decoded).is_err() && {
            let as_latin1: String = decoded.iter().map(|b| char::from(*b)).collect();
            self.stands_in(&as_latin1)
        }
    }

    /// Routers that match leading segments leave `..` alone or undo it, so the endpoint may stand at any step.
    fn stands_in(&self, text: &str) -> bool {
        let folded = fold::coarse(text).replace('\\', "/");
        let mut kept: Vec<&str> = Vec::new();
        for segment in folded.split('/') {
            // Path parameters and suffixes: `token;x`, `token.json`, `token,x`.
            let whole = segment.split(';').next().unwrap_or_default().trim();
            match whole {
                "" | "." => {}
                ".." => drop(kept.pop()),
                _ => kept.push(whole.split(['.', ',', ':', '?', '#']).next().unwrap_or_default().trim()),
            }
            if ends_with(&kept, &self.segments) {
                return true;
            }
        }
        false
    }

    /// Drupal routes any path by `?q=`; PHP finds `q` under several spellings.
    fn is_routed_by_query(&self, query: &str) -> bool {
        if !query.bytes().any(|b| matches!(b, b'q' | b'Q' | b'%') || !b.is_ascii()) {
            return false;
        }
        query.split(['&', ';']).any(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(name) = decode_to_fixpoint(name.replace('+', " ").as_bytes()) else { return true };
            let name = name.split(|b| matches!(b, 0 | b'[')).next().unwrap_or_default();
            fold::coarse(&String::from_utf8_lossy(name)) == "q"
                && self.is_disguised(value.replace('+', " ").as_bytes())
        })
    }
}

fn ends_with(kept: &[&str], segments: &[String]) -> bool {
    kept.len() >= segments.len() && kept[kept.len() - segments.len()..] == *segments
}

/// Percent-decodes until nothing changes; `None` when that takes too long.
fn decode_to_fixpoint(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut current = bytes.to_vec();
    for _ in 0..DECODINGS_MAX {
        match Cow::from(percent_decode(&current)) {
            Cow::Borrowed(_) => return Some(current),
            Cow::Owned(decoded) => current = decoded,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(target: &str) -> Route {
        let (path, query) = target.split_once('?').map_or((target, None), |(p, q)| (p, Some(q)));
        TokenEndpoint::parse("/oauth2/token").unwrap().route(path, query)
    }

    #[test]
    fn the_endpoint_is_found_as_it_is_spelled() {
        for target in ["/oauth2/token", "/oauth2/token/", "/oauth2/token?", "/oauth2/token?_format=json"] {
            assert_eq!(route(target), Route::Token, "{target}");
        }
    }

    #[test]
    fn disguises_are_seen_through() {
        for target in [
            "/OAUTH2/TOKEN",
            "/óauth2/token",
            "/%C3%B3auth2/token",
            "/%F3auth2/token",
            "/oauth2/token%20",
            "//oauth2/token",
            "/oauth2//token",
            "/oauth2/%74oken",
            "/oauth2/%2574oken",
            "/oauth2/token/x/y",
            "/en/oauth2/token",
            "/index.php/oauth2/token",
            "/oauth2/token.json",
            "/oauth2/token;x=1",
            "/oauth2/./token",
            "/oauth2/x/../token",
            "/oauth2/%2e/token",
            "/x/%2e%2e/oauth2/token",
            "/x/..;/oauth2/token",
            "/oauth2\\token",
            "/oauth2%5ctoken",
            "/oauth2%2ftoken",
            "/oauth2/token%00",
            "/oauth2/tok%ffen",
            "/oauth2／token",
            "/oauth2/token,x",
            "/oauth2/token%3Fx",
            "/oauth2/token%23",
            "/?q=oauth2/token",
            "/user?q=oauth2/token",
            "/?%71=oauth2/token",
            "/?+q=oauth2/token",
            "/?q%00x=oauth2/token",
            "/?q=node&q=oauth2/token",
            "/?Q=OAUTH2/TOKEN",
            "/?a=1;q=oauth2%2Ftoken/x",
            "/oauth2/token?q=oauth2/token",
            "/?q[=oauth2/token",
            "/oauth2/token/../../user",
            "/?q=oauth2/token/../../user",
            "/?q=oauth2/token%00x",
            "/oauth2/token%00x",
            "/oauth2/token%00/../../user",
            "/oauth2/token%ffx",
            "/oauth2/token%F0%9F%98%80x",
            "/%25252525252525252525252525252525252574",
        ] {
            assert_eq!(route(target), Route::Disguised, "{target}");
        }
    }

    #[test]
    fn innocent_neighbours_pass() {
        for target in [
            "/",
            "/oauth2/tokens/abcdef",
            "/oauth2/authorize?redirect_uri=https%3A%2F%2Fa%2Foauth2%2Ftoken",
            "/oauth2/revoke",
            "/node?q=search",
            "/search?q=oauth2+token",
            "/caf%C3%A9/token",
            "/token",
            "/misc/drupal.js?towvzw",
            "/oauth2",
            "/oauth2/tokenizer",
            "/a%20b/c",
            "/%F0%9F%98%80/oauth2",
            "/oauth2/../token",
            "/?q=node/1",
            "/oauth2/introspect",
        ] {
            assert_eq!(route(target), Route::Elsewhere, "{target}");
        }
    }

    #[test]
    fn a_configured_path_is_folded_as_targets_are() {
        let endpoint = TokenEndpoint::parse("/system/access-token").unwrap();
        for (path, expected) in [
            ("/system/access-token", Route::Token),
            ("/System/Access-Token", Route::Disguised),
            ("/system/access-token.json", Route::Disguised),
            ("/system/access-tokens", Route::Elsewhere),
        ] {
            assert_eq!(endpoint.route(path, None), expected, "{path}");
        }
    }

    #[test]
    fn only_plain_paths_can_be_configured() {
        for path in ["oauth2/token", "/", "/OAuth2/token", "/oauth2/token/", "/a//b", "/a b", "/%61", ""] {
            assert!(TokenEndpoint::parse(path).is_none(), "{path:?}");
        }
        assert!(TokenEndpoint::parse("/oauth/v2/access-token").is_some());
    }
}
