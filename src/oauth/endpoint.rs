//! The one door: which request targets are the token endpoint, and which only look like it to a router
//! that folds, decodes or guesses.
//!
//! Invariant: a target that any known router takes for the endpoint is either [`Route::Token`] or
//! [`Route::Disguised`]; in doubt it is disguised.

mod profile;
mod reading;

use std::{borrow::Cow, cell::OnceCell};

pub use profile::Profile;
use reading::{Reading, Segment};

use super::decoding;

/// The token endpoint's path, and its segments as routers may fold them.
#[derive(Debug, Clone)]
pub struct TokenEndpoint {
    path: String,
    segments: Vec<Segment>,
    /// The letters of the last segment, which a plainly spelled target must hold to be looked at.
    needle: Vec<u8>,
    profile: Profile,
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

impl Default for TokenEndpoint {
    /// `/oauth2/token`, where Drupal has it.
    fn default() -> Self {
        Self::at("/oauth2/token", &["oauth2", "token"])
    }
}

impl TokenEndpoint {
    /// `None` unless the path starts with `/` and consists of plain segments: lower-case ASCII letters,
    /// digits, `-` and `_`, with a letter or digit in each.
    pub fn parse(path: &str) -> Option<Self> {
        let plain = |s: &str| {
            s.bytes().any(|b| b.is_ascii_alphanumeric())
                && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
        };
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        segments.iter().all(|s| plain(s)).then(|| Self::at(path, &segments))
    }

    fn at(path: &str, segments: &[&str]) -> Self {
        let last = segments.last().copied().unwrap_or_default();
        Self {
            path: path.to_owned(),
            segments: segments.iter().map(|s| Segment::new(s)).collect(),
            needle: last.bytes().filter(u8::is_ascii_alphanumeric).collect(),
            profile: Profile::default(),
        }
    }

    /// The same endpoint, of a server that routes by what the profile says.
    #[must_use]
    pub fn with_profile(self, profile: Profile) -> Self {
        Self { profile, ..self }
    }

    /// The one path that token requests are sent to.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Judges a request target.
    pub fn route(&self, path: &str, query: Option<&str>) -> Route {
        // PHP's own server skips all question marks in front of a query.
        let query = query.map(|query| query.trim_start_matches('?'));
        if query.is_some_and(|query| !self.is_plainly_elsewhere(query) && self.is_routed_by(path, query)) {
            return Route::Disguised;
        }
        if path.strip_suffix('/').unwrap_or(path) == self.path {
            return Route::Token;
        }
        if self.is_plainly_elsewhere(path) || !stands_in(&self.segments, path) {
            return Route::Elsewhere;
        }
        Route::Disguised
    }

    /// The quick answer for most targets: ASCII, nothing encoded, and the last segment's letters nowhere, not
    /// even with something between them.
    fn is_plainly_elsewhere(&self, text: &str) -> bool {
        let is_plain = |b: u8| b.is_ascii_graphic() && b != b'%';
        if !text.bytes().all(is_plain) {
            return false;
        }
        let letters = |from: usize| {
            text.as_bytes()[from..]
                .iter()
                .filter(|b| b.is_ascii_alphanumeric())
                .map(u8::to_ascii_lowercase)
                .take(self.needle.len())
        };
        let Some(first) = self.needle.first() else { return false };
        let starts = text.bytes().enumerate().filter(|(_, b)| b.eq_ignore_ascii_case(first));
        !starts.map(|(at, _)| at).any(|at| letters(at).eq(self.needle.iter().copied()))
    }

    /// Whether a parameter leads to the endpoint, whatever the path, or from a folder that the path names:
    /// Drupal in `/site` takes `/site/user?q=oauth2/token` for `/site/oauth2/token`.
    /// Some servers take `;` for `&`, most for a part of the value.
    fn is_routed_by(&self, path: &str, query: &str) -> bool {
        let folders = Folders { segments: &self.segments, path, reached: OnceCell::new() };
        self.is_routed_by_pairs(&folders, query.split('&'))
            || query.contains(';') && self.is_routed_by_pairs(&folders, query.split(['&', ';']))
    }

    fn is_routed_by_pairs<'a>(&self, folders: &Folders<'_>, pairs: impl Iterator<Item = &'a str>) -> bool {
        let mut routing = Vec::new();
        for pair in pairs {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(plain_name) = decoding::to_fixpoint(spaced(name).as_bytes()) else { return true };
            let is_routing = self.profile.routes_by(&plain_name);
            if is_routing {
                routing.push(spaced(value));
            }
            if is_routing && self.leads_here(folders, value, self.profile.rest_segments_min())
                || self.profile.routes_by_bare_query() && self.is_bare_route(folders, name, value)
            {
                return true;
            }
        }
        // A controller in one parameter and its action in another.
        let is_named = |segment| routing.iter().any(|value| stands_in(std::slice::from_ref(segment), value));
        routing.len() > 1 && self.segments.iter().all(is_named)
    }

    /// Whether a route ends at the endpoint when the path has led to the folder where it starts.
    fn leads_here(&self, folders: &Folders<'_>, route: &str, rest_min: usize) -> bool {
        let route = spaced(route);
        let last_start = self.segments.len().saturating_sub(rest_min);
        (0..=last_start).any(|start| stands_in(&self.segments[start..], &route) && folders.hold(start))
    }

    /// `?/oauth2/token`, and `?oauth2=token`.
    fn is_bare_route(&self, folders: &Folders<'_>, name: &str, value: &str) -> bool {
        let last = self.segments.len() - 1;
        self.leads_here(folders, name, 2.min(self.segments.len()))
            || last > 0
                && stands_in(&self.segments[..last], &spaced(name))
                && stands_in(&self.segments[last..], &spaced(value))
    }
}

/// How much of the endpoint's path a target's path has gone before the query routes. Looked at once a request,
/// however many parameters ask.
struct Folders<'a> {
    segments: &'a [Segment],
    path: &'a str,
    reached: OnceCell<Vec<bool>>,
}

impl Folders<'_> {
    /// Whether the path names the first so many segments, or needs to name none.
    fn hold(&self, count: usize) -> bool {
        let is_reached = |folder| profile::is_virtual(folder) || stands_in(folder, self.path);
        let reached = self.reached.get_or_init(|| {
            (0..self.segments.len()).map(|to| to == 0 || is_reached(&self.segments[..to])).collect()
        });
        reached.get(count).copied().unwrap_or_default()
    }
}

/// Whether the segments stand anywhere in the text, after all that routers are known to undo.
fn stands_in(segments: &[Segment], text: &str) -> bool {
    match decoding::to_fixpoint(text.as_bytes()) {
        Some(decoded) => Reading::all_of(&decoded).iter().any(|reading| reading.holds(segments)),
        // Encodings of encodings of encodings: no innocent target.
        None => true,
    }
}

/// `+` is a space in a query.
fn spaced(text: &str) -> Cow<'_, str> {
    if text.contains('+') { text.replace('+', " ").into() } else { text.into() }
}

#[cfg(test)]
mod tests;
