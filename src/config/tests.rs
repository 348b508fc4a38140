use std::time::Duration;

use figment::providers::{Format as _, Toml};

use super::*;
use crate::oauth::{ForwardAs, RequestRules, endpoint::Route};

pub(super) fn read(toml: &str) -> Result<Settings, String> {
    parse(&Figment::new().merge(Toml::string(toml)), Path::new("/etc/tfa-gateway")).map_err(|e| e.to_string())
}

pub(super) const LEAST: &str = "[upstream]\nurl = 'http://127.0.0.1:8000'\n[store]\nurl = 'embedded:x.db'\n";

#[test]
fn the_least_configuration_gives_the_defaults() {
    let settings = read(LEAST).unwrap();
    assert_eq!(settings.listen_address.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.admin_address.to_string(), "127.0.0.1:9090");
    assert_eq!(settings.endpoint.path(), "/oauth2/token");
    assert_eq!(settings.key_file, Path::new("/etc/tfa-gateway/x.keys"));
    assert_eq!(settings.drain_timeout, Duration::from_secs(30));
    assert!(!settings.plain_secrets);
}

/// Settings that have no default, or another one for each source.
const EXAMPLES: [&str; 17] = [
    "implicit_path",
    "trusted_proxies",
    "key_file",
    "certificate_file",
    "ca_file",
    "file = ",
    "endpoint",
    "client_ca_file",
    "url = \"/",
    "pointer",
    "client_id",
    "client_secret_file",
    "username",
    "password_file",
    "sentinel_username",
    "sentinel_password_file",
    "ca_file",
];

#[test]
fn the_shipped_file_is_valid_and_its_comments_show_the_defaults() {
    let shipped = include_str!("../../gateway.toml");
    let plain = read(shipped).unwrap();
    // Whatever is commented out as a setting is switched on, save the examples that are not defaults.
    let switched_on: String = shipped
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if setting.starts_with(char::is_lowercase) => setting,
            _ => line,
        })
        .filter(|line| !EXAMPLES.iter().any(|example| line.starts_with(example)))
        .fold(String::new(), |text, line| text + line + "\n");
    let all = read(&switched_on).unwrap();
    let shown = |settings: Settings| format!("{:?}", Settings { fixed: Fixed::default(), ..settings });
    assert_eq!(shown(plain), shown(all));
    assert!(switched_on.contains("\nlock_secs_max = 3600"), "{switched_on}");
}

#[test]
fn every_fault_is_reported_with_key_rule_and_value() {
    let said = read(
        "[listen]\naddress = 'nowhere'\nthreads = -1\n[upstream]\nurl = 'http://u:secret@a/b'\n\
         [factor.totp]\ndigits = 5\nperiod = 30\n[lockout]\nlock_secs = 900\nlock_secs_max = 600\n\
         [store]\nurl = 'redis://:hunter22@h/x/y'\nplain_secrets = 'yes'\n[nonsense]\nx = 1\n",
    )
    .unwrap_err();
    for wanted in [
        "listen.address: must be ADDRESS:PORT, such as 127.0.0.1:8080 or [::]:8080, but it is 'nowhere'",
        "listen.threads: must be a whole number from 0 to 1024",
        "upstream.url: must be http://HOST[:PORT]",
        "factor.totp.digits: must be a whole number from 6 to 8, but it is 5",
        "factor.totp.period: is not a setting",
        "lockout.lock_secs_max: must be at least lockout.lock_secs, which is 900",
        "store.plain_secrets: must be true or false, but it is 'yes'",
        "nonsense: is not a setting",
    ] {
        assert!(said.contains(wanted), "{wanted}\nis not in\n{said}");
    }
    assert!(!said.contains("hunter22") && !said.contains("secret@"), "{said}");
}

#[test]
fn a_misspelt_key_is_told_its_neighbour() {
    let said = read(&format!("{LEAST}[listen]\nadress = '127.0.0.1:1'\n")).unwrap_err();
    assert!(said.contains("listen.adress: is not a setting; did you mean 'listen.address'?"), "{said}");
}

#[test]
fn redis_needs_a_key_file_and_the_message_says_what_to_run() {
    let said = read("[upstream]\nurl = 'http://a'\n[store]\nurl = 'redis://h'\n").unwrap_err();
    assert!(
        said.contains("sealing.key_file: must be set") && said.contains("tfa-gateway keys generate"),
        "{said}"
    );
}

#[test]
fn what_must_be_there_is_named() {
    let said = read("").unwrap_err();
    assert!(said.contains("upstream.url: must be set") && said.contains("store.url: must be set"), "{said}");
}

#[test]
fn addresses_that_contradict_each_other_are_refused() {
    let same = format!("{LEAST}[listen]\naddress = '127.0.0.1:8000'\n[admin]\naddress = '127.0.0.1:8000'\n");
    let said = read(&same).unwrap_err();
    assert!(said.contains("admin.address: must differ from listen.address"), "{said}");
    assert!(said.contains("upstream.url: must not be listen.address"), "{said}");
}

#[test]
fn a_source_of_subjects_says_what_it_needs() {
    let read_identity = |section: &str| read(&format!("{LEAST}[identity]\n{section}\n"));
    for (section, rule) in [
        ("source = 'ldap'", "identity.source: must be username, introspection"),
        ("source = 'response'", "identity.pointer: must be set"),
        ("source = 'token-info'\nurl = '/me'", "identity.url: must hold {token}"),
        ("source = 'jwt'\nurl = '/x'", "identity.url: is of no use"),
        ("source = 'userinfo'\nurl = 'ftp://x/y'", "identity.url: must be a path on the upstream"),
        ("source = 'userinfo'\npointer = 'sub'", "identity.pointer: must be a JSON pointer"),
        ("pointer = '/sub'", "identity.pointer: is of no use"),
        ("source = 'introspection'\nclient_id = 'x'", "identity.client_secret_file: must be set"),
        (
            "source = 'introspection'\nclient_secret_file = '/none'",
            "identity.client_secret_file: must be a file that can be read",
        ),
        ("addresses = 'no'", "identity.addresses: must be aliases or names"),
    ] {
        let said = read_identity(section).unwrap_err();
        assert!(said.contains(rule), "{section}: {rule}\nis not in\n{said}");
    }
    for source in ["token-info", "introspection", "userinfo", "jwt"] {
        assert!(read_identity(&format!("source = '{source}'")).is_ok(), "{source}");
    }
}

#[test]
fn grants_that_contradict_each_other_are_refused() {
    for (section, rule) in [
        ("passed = ['password']", "grants.passed: must not hold password"),
        ("passed = ['refresh_token']", "grants.refresh: is where refresh_token is set"),
        ("gated = ['x']\npassed = ['x']", "grants.gated: must not hold x"),
        ("gated = ['x y']", "grants.gated: must hold grant types"),
        ("refresh = 'maybe'", "grants.refresh: must be passed, enrolled-after or refused"),
    ] {
        let said = read(&format!("{LEAST}[grants]\n{section}\n")).unwrap_err();
        assert!(said.contains(rule), "{section}: {rule}\nis not in\n{said}");
    }
}

#[test]
fn the_token_endpoint_takes_what_the_site_says() {
    let settings = read(&format!(
        "{LEAST}[token_endpoint]\nmultipart = true\nforward_as = 'json'\nrequire_client = true\n"
    ))
    .unwrap();
    let rules = RequestRules { multipart: true, forward_as: ForwardAs::Json, require_client: true };
    assert_eq!(settings.request_rules, rules);
    assert_eq!(settings.endpoint.route("/", Some("r=oauth2/token")), Route::Elsewhere);
    let php = read(&LEAST.replace("[upstream]\n", "[upstream]\nprofile = 'php'\n")).unwrap();
    assert_eq!(php.endpoint.route("/", Some("r=oauth2/token")), Route::Disguised);
    let said =
        read(&format!("{LEAST}profile = 'php'\n[token_endpoint]\nforward_as = 'xml'\nmultipart = 1\n"))
            .unwrap_err();
    assert!(said.contains("store.profile: is not a setting"), "{said}");
    assert!(
        said.contains("token_endpoint.forward_as: must be as-received, form or json, but it is 'xml'"),
        "{said}"
    );
    assert!(said.contains("token_endpoint.multipart: must be true or false, but it is 1"), "{said}");
    let said = read(&LEAST.replace("[upstream]\n", "[upstream]\nprofile = 'Drupal'\n")).unwrap_err();
    assert!(said.contains("upstream.profile: must be generic, drupal7 or php, but it is 'Drupal'"), "{said}");
}

#[test]
fn no_url_is_shown_for_a_password_may_be_in_it() {
    for section in
        ["identity]\nsource = 'userinfo'", "revocation]\nstyle = 'rfc7009'", "portal]\nclient_id = 'x'"]
    {
        let said = read(&format!("{LEAST}\n[{section}\nurl = 'http://u:hunter22@h/x y/'\n")).unwrap_err();
        assert!(said.contains(".url: must be") && !said.contains("hunter22"), "{said}");
    }
}

#[test]
fn a_half_client_is_a_fault_beside_whatever_else_is_wrong() {
    let said = read(&format!(
        "{LEAST}\n[lockout]\nfailures_max = 0\n[identity]\nsource = 'introspection'\nclient_id = 'x'\n"
    ))
    .unwrap_err();
    assert!(
        said.contains("lockout.failures_max") && said.contains("identity.client_secret_file: must be set"),
        "{said}"
    );
}

#[test]
fn a_key_below_a_table_of_its_section_is_told_that_the_table_ends_it() {
    let said = read(&format!("{LEAST}[listen]\n[[listen.certificates]]\nhttp2 = true\n")).unwrap_err();
    assert!(
        said.contains("listen.certificates[0].http2: is not a setting of")
            && said
                .contains("(a table ends [listen]: what belongs there stands above [[listen.certificates]])"),
        "{said}"
    );
}
