use super::*;

fn route(target: &str) -> Route {
    route_by(Profile::Generic, "/oauth2/token", target)
}

fn route_by(profile: Profile, endpoint: &str, target: &str) -> Route {
    let (path, query) = target.split_once('?').map_or((target, None), |(p, q)| (p, Some(q)));
    TokenEndpoint::parse(endpoint).unwrap().with_profile(profile).route(path, query)
}

const PROFILES: [Profile; 3] = [Profile::Generic, Profile::Drupal7, Profile::Php];

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
        "/??q=oauth2/token",
        "/oauth2/token+",
        "/oauth2/token&x=1",
        "/node&q=oauth2/token",
        "/?q=oauth2/token",
        "/user?q=oauth2/token",
        "/?%71=oauth2/token",
        "/?+q=oauth2/token",
        "/?q%00x=oauth2/token",
        "/?q=node&q=oauth2/token",
        "/?Q=OAUTH2/TOKEN",
        "/?a=1;q=oauth2%2Ftoken/x",
        "/?q=/..;//oauth2/token",
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
        // CodeIgniter and many filters drop `..`.
        "/oauth2/../token",
        "/oauth2/%2e%2e/token",
        "/oauth2/~/../x/../token",
        "/oauth2//../x/../token",
        // PHP's urldecode, which Drupal 7 applies to the path, reads `+` as a space.
        "/oauth2/token+",
        "/+oauth2/token",
        "/oauth2/token+/x",
        // Separators that structure nothing.
        "/oauth2/token//",
        "/oauth2/token/.",
        "/oauth2/token/./",
        "/oauth2/.../token",
        "/oauth2./token.",
        "/oauth2/token..",
        "/oauth2/token. .",
        "/oauth2/~/token",
        "/index.php/oauth2/token/",
        "/index.php//oauth2/token",
        "/oauth2/token/index.php",
        "/app_dev.php/oauth2/token",
        "/oauth2;v=1/token;w=2",
        "/;x/oauth2/;y/token",
        "/oauth2/x/..;x=1/token",
        "/x;y=/oauth2/token",
        // Marks before, after and inside.
        "/oauth2/token~",
        "/oauth2/token!",
        "/oauth2/token*",
        "/oauth2/token'",
        "/oauth2/token(1)",
        "/oauth2/token$",
        "/oauth2/token@x",
        "/oauth2/token|x",
        "/oauth2/token=x",
        "/oauth2/token&x",
        "/oauth2/token%22",
        "/oauth2/token%3C",
        "/~oauth2/token",
        "/oauth2/-token-",
        "/oauth2/to-ken",
        "/oauth2/to.ken",
        "/o_auth2/to_ken",
        "/oauth2/*token",
        // White space and what is not seen.
        "/oauth2/token%09",
        "/oauth2/token%0A",
        "/oauth2/token%0d%0a",
        "/oauth2/%0btoken",
        "/oauth2/tok%09en",
        "/oauth2/token%C2%A0",
        "/oauth2/token%E3%80%80",
        "/oauth2/to%C2%ADken",
        "/oauth2/to%E2%80%8Bken",
        "/oauth2/to%E2%80%8Dken",
        "/oauth2/to%E2%81%A0ken",
        "/oauth2/to%EF%BB%BFken",
        "/oauth2/to%CD%8Fken",
        "/oauth2/to%E3%85%A4ken",
        "/oauth2/to%EF%B8%8Fken",
        "/oauth2/to%7Fken",
        "/oauth2/to%08ken",
        // Accents, composed and not; other forms of the same letters.
        "/o%CC%81auth2/token",
        "/oauth2/toke%C3%B1",
        "/oauth2/token%CC%83",
        "/oauth2/%E1%B9%AFoken",
        "/oauth2/%C5%A7oken",
        "/oauth2/to%E2%84%AAen",
        "/oauth2/\u{24e3}oken",
        "/oauth\u{b2}/token",
        "/oauth\u{2082}/token",
        "/oauth\u{662}/token",
        "/%EF%BD%8Fauth2/%EF%BD%94oken",
        "/oauth2/%EF%BC%8E/token",
        "/oauth2%EF%BC%BCtoken",
        "/oauth2%E2%81%84token",
        "/oauth2%E2%88%95token",
        "/oauth2%C2%A5token",
        "/oauth2%2Ftoken",
        "/oauth2%252ftoken",
        "/oauth2/%EF%BC%8574oken",
        // Bytes of other encodings.
        "/%D3auth2/token",
        "/oauth2/%9Doken",
        "/oauth2/tok%E9%6e",
        "/oau%FE2/token",
        // Overlong UTF-8: a slash, a dot, a letter, a percent sign.
        "/oauth2%c0%aftoken",
        "/oauth2%e0%80%aftoken",
        "/oauth2%f0%80%80%aftoken",
        "/oauth2%f8%80%80%80%aftoken",
        "/oauth2%fc%80%80%80%80%aftoken",
        "/oauth2%c1%9ctoken",
        "/oauth2/x/%c0%ae%c0%ae/token",
        "/oauth2/%c1%b4oken",
        "/oauth2/%e0%81%b4oken",
        "/oauth2/%c0%a574oken",
        "/oauth2/token%c0%80x",
        "/oauth2/%c1%a1token",
        // Escapes of IIS and Perl.
        "/oauth2/%u0074oken",
        "/oauth2/%U0074oken",
        "/oauth2%u2215token",
        "/oauth2/%uff54oken",
        "/oauth2%u002ftoken",
        "/oauth2/%25u0074oken",
        "/oauth2/token%ud83d",
        // A query that is none yet.
        "/index.php%3Fq=oauth2/token",
        "/%3Fq%3Doauth2%2Ftoken",
        "/a%26q=oauth2/token",
        "/a&q=oauth2/token",
        // `q` as PHP finds it.
        "/?q=/oauth2/token",
        "/?q=//oauth2/token/",
        "/?q=oauth2//token",
        "/?q=en/oauth2/token",
        "/?q=oauth2/token/x",
        "/?q=oauth2/token+",
        "/?q=oauth2/token%20%20",
        "/?q=oauth2%5Ctoken",
        "/?q=OAuth2/T%C3%B6ken",
        "/?q=oauth2%252Ftoken",
        "/?q[]=oauth2/token",
        "/?q[0]=oauth2/token",
        "/?q%5B=oauth2/token",
        "/?q%5B%5D=oauth2/token",
        "/?%20%20q=oauth2/token",
        "/?q%5Bx=oauth2/token",
        "/?x&q=oauth2/token",
        "/?&&q=oauth2/token",
        "/?%EF%BD%91=oauth2/token",
        "/?q=node&q=oauth2/token",
        "/index.php?q=oauth2/token",
        "/oauth2/token/?q=oauth2/token",
    ] {
        for profile in PROFILES {
            assert_eq!(route_by(profile, "/oauth2/token", target), Route::Disguised, "{profile:?} {target}");
        }
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
        "/?q=node/1",
        "/oauth2/introspect",
        "/oauth2/token-info",
        "/oauth2/revoke_token",
        "/oauth2/x/token",
        "/a/../oauth2/tokens",
        "/oauth2token",
        "/oauth/token",
        "/node/1+2",
        "/c++/oauth2",
        // PHP knows these as `_q`, `q_x` and `a_q`.
        "/?.q=oauth2/token",
        "/?_q=oauth2/token",
        "/?q.x=oauth2/token",
        "/?a[q]=oauth2/token",
        "/?r=oauth2/token",
        "/?/oauth2/token",
        "/search?keys=oauth2/token",
        "*",
        "",
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

#[test]
fn php_front_controllers_route_by_many_parameters() {
    for target in [
        "/?r=oauth2/token",
        "/index.php?r=oauth2/token",
        "/index.php?r=oauth2%2Ftoken",
        "/?route=oauth2/token",
        "/?_url=/oauth2/token",
        "/?.url=/oauth2/token",
        "/?[url=/oauth2/token",
        "/?url=oauth2/token",
        "/?s=/oauth2/token",
        "/?p=oauth2/token",
        "/?page=oauth2/token",
        "/?path=oauth2/token",
        "/?rest_route=/oauth2/token",
        "/?rest.route=/oauth2/token",
        "/?controller=oauth2&action=token",
        "/?action=token&controller=oauth2",
        "/?m=x&c=OAuth2&a=To-ken",
        "/?/oauth2/token",
        "/?/oauth2/token&x=1",
        "/?oauth2/token",
        "/?%2Foauth2%2Ftoken",
        "/?/oauth2/token=",
        "/index.php?/en/oauth2/token/x",
        "/?oauth2=token",
        "/oauth2/?r=token",
        "/oauth2/index.php?action=token",
    ] {
        assert_eq!(route_by(Profile::Php, "/oauth2/token", target), Route::Disguised, "{target}");
    }
    for target in [
        "/?r=oauth2/tokens",
        "/?controller=oauth2&action=authorize",
        "/?action=token",
        "/?s=token",
        "/oauth2/introspect?token=0123456789abcdef",
        "/oauth2/authorize?redirect_uri=https://app.example/oauth2/token",
        "/?token=oauth2",
    ] {
        assert_eq!(route_by(Profile::Php, "/oauth2/token", target), Route::Elsewhere, "{target}");
    }
}

#[test]
fn a_script_in_a_folder_routes_what_is_below_the_folder() {
    for (endpoint, target) in [
        ("/site/oauth2/token", "/site/?q=oauth2/token"),
        ("/site/oauth2/token", "/site/user/login?q=oauth2/token"),
        ("/site/oauth2/token", "/Site/index.php?q=en/oauth2/token"),
        ("/site/oauth2/token", "/?q=site/oauth2/token"),
    ] {
        for profile in PROFILES {
            assert_eq!(route_by(profile, endpoint, target), Route::Disguised, "{profile:?} {target}");
        }
    }
    let word_press = "/wp-json/jwt-auth/v1/token";
    assert_eq!(route_by(Profile::Php, word_press, "/?rest_route=/jwt-auth/v1/token"), Route::Disguised);
    assert_eq!(route_by(Profile::Generic, "/site/oauth2/token", "/other?q=oauth2/token"), Route::Elsewhere);
}

#[test]
fn a_run_of_s_cannot_be_broken_up() {
    for target in ["/system/acces%ffs-token", "/system/acce-s-s-token", "/system/acce%8A%8A-token"] {
        assert_eq!(route_by(Profile::Generic, "/system/access-token", target), Route::Disguised, "{target}");
    }
}

/// What is refused of the ordinary targets, in every profile: pages and searches about the very path.
const REFUSED_BY_ALL: [&str; 3] =
    ["/docs/oauth2/token", "/docs/oauth2/token.html", "/search?q=oauth2%2Ftoken"];
/// And what a front controller could route besides.
const REFUSED_BY_PHP: [&str; 2] = ["/search?s=oauth2%2Ftoken", "/oauth2/clients?s=token"];

#[test]
fn ordinary_drupal_targets_are_passed_through_but_for_those_named_here() {
    let listed = include_str!("../../../tests/data/drupal_urls.txt");
    let targets: Vec<&str> = listed.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(targets.len(), 797);
    for profile in PROFILES {
        let mut refused = targets.clone();
        refused.retain(|target| route_by(profile, "/oauth2/token", target) != Route::Elsewhere);
        let also: &[&str] = if profile == Profile::Php { &REFUSED_BY_PHP } else { &[] };
        assert_eq!(refused, [&REFUSED_BY_ALL, also].concat(), "{profile:?}");
    }
}
