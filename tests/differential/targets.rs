//! Targets that one router takes for the token endpoint and another does not.

use super::random::Random;

/// The endpoint in some disguise; `{host}` is the case's host.
const DISGUISES: &[&str] = &[
    "/oauth2/token/",
    "//oauth2/token",
    "/oauth2//token",
    "/oauth2/token//",
    "/./oauth2/token",
    "/oauth2/./token",
    "/oauth2/x/../token",
    "/oauth2/x/%2e%2e/token",
    "/x/../oauth2/token",
    "/x/..;/oauth2/token",
    "/oauth2/token/../token",
    "/oauth2/token/x",
    "/oauth2/token/x/../../../x",
    "/oauth2/token.json",
    "/oauth2/token.html",
    "/oauth2/token.",
    "/oauth2/token;x",
    "/oauth2/token;x=1/y",
    "/oauth2;x/token",
    "/;x/oauth2/token",
    "/oauth2\\token",
    "/oauth2%5Ctoken",
    "/oauth2%2Ftoken",
    "/oauth2%252Ftoken",
    "/%6fauth2/token",
    "/oauth2/%2574oken",
    "/oauth2/token%20",
    "/oauth2/token+",
    "/oauth2/token&x=1",
    "/oauth2/token%26x",
    "/node&q=oauth2/token",
    "/??q=oauth2/token",
    "/oauth2/t%u006fken",
    "/?q=oauth2/t%u006fken",
    "/oauth2/token#x",
    "/x#/../oauth2/token",
    "/sub/dir/oauth2/token",
    "/%20oauth2/token",
    "/oauth2/token%00",
    "/oauth2/token%00/x",
    "/oauth2/token%09",
    "/oauth2/token%0a",
    "/oauth2/token%3Fx",
    "/oauth2/token%23x",
    "/oauth2/token%E2%80%8B",
    "/oauth2/token%CC%81",
    "/%EF%BD%8Fauth2/token",
    "/oauth2/tok%C3%A8n",
    "/%F3auth2/token",
    "/index.php/oauth2/token",
    "/en/oauth2/token",
    "/DE/oauth2/token",
    "/?q=oauth2/token",
    "/?q=/oauth2/token/",
    "/index.php?q=oauth2%2Ftoken",
    "/node/1?q=OAUTH2/token",
    "/?Q=oauth2/token",
    "/?%71=oauth2/token",
    "/?+q=oauth2/token",
    "/?q%00=oauth2/token",
    "/?q[=oauth2/token",
    "/?q[]=oauth2/token",
    "/?x=1;q=oauth2/token",
    "/?q=x&q=oauth2/token",
    "/?q=oauth2/token&q=x",
    "/?q=oauth2/token%00x",
    "/?q=oauth2%252Ftoken",
    "/oauth2/token?q=node",
    "/oauth2/token?_method=POST",
    "/oauth2/token?_format=json",
    "/oauth2/token?",
    "/oauth2/token?x=%00",
    "/oauth2/token?&&",
    "http://{host}/oauth2/token",
    "HTTP://{host}/oauth2/token",
    "http://{host}//oauth2/token",
    "http://{host}/oauth2/token/x",
    "http://{host}?q=oauth2/token",
    "http://{host}/OAuth2/Token?x",
    "oauth2/token",
    "/oauth2/tokens",
    "/oauth2/token2",
    "/oauth2",
    "/",
    "*",
];

/// Bytes that routers drop, decode or stop at.
const NOISE: &[&str] = &[
    "/",
    "//",
    "/.",
    "/..",
    ";",
    ".",
    "%00",
    "%20",
    "%2f",
    "%5c",
    "%25",
    "%26",
    "?",
    "&",
    "+",
    "#",
    "!",
    "|",
    "$",
    "%ff",
    "%E2%80%8D",
    "~",
    ":",
    ",",
];

/// A disguise, mutated a little further more often than not.
pub(crate) fn twisted(random: &mut Random) -> Vec<u8> {
    let start = if random.one_in(3) { "/oauth2/token" } else { random.pick(DISGUISES) };
    let mut target = start.as_bytes().to_vec();
    if random.one_in(2) {
        return target;
    }
    for _ in 0..=random.below(2) {
        mutate(&mut target, random);
    }
    target
}

fn mutate(target: &mut Vec<u8>, random: &mut Random) {
    // The host of an absolute form is what the case is recognised by.
    let Some(path) = path_range(target) else { return };
    let at = path + random.below(target.len() - path);
    match random.below(7) {
        0 | 1 => target[at].make_ascii_uppercase(),
        2 => drop(target.splice(at..=at, format!("%{:02X}", target[at]).into_bytes())),
        3 => drop(target.splice(at..=at, format!("%{:02x}", target[at]).into_bytes())),
        4 => drop(target.splice(at..=at, format!("%25{:02x}", target[at]).into_bytes())),
        5 => {
            // At the borders of segments, where it matters.
            let borders: Vec<usize> =
                (path..=target.len()).filter(|i| target.get(*i).is_none_or(|b| *b == b'/')).collect();
            let border = borders[random.below(borders.len())].max(path + 1);
            drop(target.splice(border..border, random.pick(NOISE).bytes()));
        }
        _ => drop(target.splice(
            at..at,
            [random.pick(&[&0xC3_u8, &0xA8, &b'\\', &b'"', &b'%', &0x80])].into_iter().copied(),
        )),
    }
}

/// Where the path starts, when there is one.
fn path_range(target: &[u8]) -> Option<usize> {
    let host_end = target.windows(6).position(|window| window == b"{host}").map_or(0, |at| at + 6);
    (host_end < target.len()).then_some(host_end)
}
