//! Which query parameters a server routes by. The path is judged alike for all of them.

use super::reading::Segment;
use crate::types::fold;

/// What kind of server stands upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Unknown. `q` is watched all the same, for Drupal behind a gateway that nobody told.
    #[default]
    Generic,
    /// Drupal 7: any path is routed by `q`, in every spelling that PHP takes for it.
    Drupal7,
    /// A front controller of any PHP framework: by its usual parameters, or by the bare query.
    Php,
}

/// Drupal up to 7, and Backdrop.
const BY_Q: &[&str] = &["q"];

/// What PHP frameworks and hand-written front controllers route by, whole routes or parts of them.
const BY_PHP: &[&str] = &[
    "q",
    // Yii; tutorials' front controllers; OpenCart; Fat-Free and its kin.
    "r",
    "rt",
    "route",
    "_route",
    "_route_",
    // Phalcon; CakePHP 1 and 2; rewrite rules copied from them.
    "_url",
    "url",
    "_uri",
    "uri",
    "request",
    "request_uri",
    // ThinkPHP, whose `s` is the path; CodeIgniter and the like.
    "s",
    "path",
    "_path",
    "path_info",
    "pathinfo",
    // WordPress: its REST API without rewriting, old and new.
    "rest_route",
    "json_route",
    // Hand-written ones.
    "p",
    "page",
    "view",
    "do",
    "go",
    "op",
    "cmd",
    // Symfony 1, Zend, ThinkPHP, PrestaShop and Joomla: the parts of a route, each in its parameter.
    "module",
    "mod",
    "m",
    "controller",
    "ctl",
    "c",
    "action",
    "act",
    "a",
    "method",
    "option",
    "task",
    "fc",
];

impl Profile {
    /// Reads what the configuration calls it.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "generic" => Some(Self::Generic),
            "drupal7" => Some(Self::Drupal7),
            "php" => Some(Self::Php),
            _ => None,
        }
    }

    const fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Generic | Self::Drupal7 => BY_Q,
            Self::Php => BY_PHP,
        }
    }

    /// Whether a parameter of this name, decoded, routes. PHP cuts a name at NUL and at `[`, ignores leading
    /// spaces and reads `.`, ` ` and a first `[` as `_`; others fold case.
    pub(super) fn routes_by(self, name: &[u8]) -> bool {
        let start = name.iter().take_while(|b| **b == b' ').count();
        let (first, rest) = match name.get(start..).unwrap_or_default() {
            [b'[', rest @ ..] => ("_", rest),
            all => ("", all),
        };
        let cut = rest.split(|b| matches!(b, 0 | b'[')).next().unwrap_or_default();
        let folded = first.to_owned() + &fold::coarse(&String::from_utf8_lossy(cut));
        let known = |name: &str| self.parameters().contains(&name);
        known(&folded) || known(&folded.replace(['.', ' '], "_"))
    }

    /// Whether a query that is no list of parameters is a route: `/?/oauth2/token`.
    pub(super) const fn routes_by_bare_query(self) -> bool {
        matches!(self, Self::Php)
    }

    /// How many of the endpoint's segments a parameter must name when the path names the others. Drupal's own
    /// are two at least; a script may know the last one only.
    pub(super) const fn rest_segments_min(self) -> usize {
        match self {
            Self::Generic | Self::Drupal7 => 2,
            Self::Php => 1,
        }
    }
}

/// The folder that `WordPress` makes up for its REST API, which `rest_route` does without.
pub(super) fn is_virtual(folder: &[Segment]) -> bool {
    matches!(folder, [only] if only.is(&fold::coarse("wp-json")))
}
