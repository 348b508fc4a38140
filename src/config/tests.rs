use std::time::Duration;

use figment::providers::{Format as _, Toml};

use super::*;

pub(super) fn read(toml: &str) -> Result<Settings, String> {
    parse(&Figment::new().merge(Toml::string(toml)), Path::new("/etc/tfa-gateway")).map_err(|e| e.to_string())
}

pub(super) const LEAST: &str = "[upstream]\nurl = 'http://127.0.0.1:8000'\n[store]\nurl = 'embedded:x.db'\n";

#[test]
fn the_least_configuration_gives_the_defaults() {
    let settings = read(LEAST).unwrap();
    assert_eq!(settings.listen.address.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.admin_address.to_string(), "127.0.0.1:9090");
    assert_eq!(settings.endpoint.path(), "/oauth2/token");
    assert_eq!(settings.key_file, Path::new("/etc/tfa-gateway/x.keys"));
    assert_eq!(settings.drain_timeout, Duration::from_secs(30));
    assert!(!settings.plain_secrets);
}

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
        .filter(|line| {
            let examples = ["trusted_proxies", "key_file", "client_id", "client_secret_file"];
            !examples.iter().any(|key| line.starts_with(key))
        })
        .fold(String::new(), |text, line| text + line + "\n");
    let all = read(&switched_on).unwrap();
    assert_eq!(format!("{plain:?}"), format!("{all:?}"));
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
