//! `[store]`: which store, and how one comes to it.

use std::{fs::File, io::Read as _, path::Path, time::Duration};

use super::{client, reader::Reader};
use crate::{
    store::{EmbeddedSettings, RedisSettings, RedisTls, RedisTlsFault, StoreChoice},
    types::Secret,
};

/// Bytes of a file with certificates or a key.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// What is of use with Redis alone.
const OF_REDIS: [&str; 7] = [
    "store.username",
    "store.password_file",
    "store.sentinel_username",
    "store.sentinel_password_file",
    "store.ca_file",
    "store.certificate_file",
    "store.key_file",
];

/// `None` when something that has no default is missing or faulty.
pub(super) fn read(reader: &mut Reader<'_>, base: &Path) -> Option<StoreChoice> {
    let timeout = Duration::from_millis(reader.number("store.timeout_ms", 1..=60_000, 1_000));
    let wait_replicas: u32 = reader.number("store.wait_replicas", 0..=16, 0);
    let data_user = user(reader, base, "store.username", "store.password_file");
    let sentinel_user = user(reader, base, "store.sentinel_username", "store.sentinel_password_file");
    let tls = tls(reader, base);
    let choice = reader.required("store.url", "must be set, such as embedded:tfa-gateway.db", |text| {
        if let Some(path) = text.strip_prefix("embedded:") {
            if path.is_empty() {
                return Err("must name a file, such as embedded:tfa-gateway.db".into());
            }
            return Ok(StoreChoice::Embedded(EmbeddedSettings { path: base.join(path), timeout }));
        }
        RedisSettings::parse(text, timeout)
            .map(StoreChoice::Redis)
            .map_err(|fault| format!("{fault}, or embedded:PATH"))
    })?;
    let settings = match choice {
        StoreChoice::Redis(settings) => settings,
        StoreChoice::Embedded(_) => {
            refuse(reader, &OF_REDIS, "is of use with Redis only");
            if wait_replicas > 0 {
                reader.contradiction("store.wait_replicas", "is of use with Redis only");
            }
            return Some(choice);
        }
    };
    if settings.has_credentials() {
        let rule = "must not be set beside a user name or a password in store.url";
        refuse(reader, &["store.username", "store.password_file"], rule);
    }
    if !settings.has_sentinels() {
        let rule = "is of use with redis+sentinel:// and rediss+sentinel:// only";
        refuse(reader, &["store.sentinel_username", "store.sentinel_password_file"], rule);
    }
    let settings = settings
        .with_credentials(data_user.name.as_deref(), data_user.password.as_ref())
        .with_sentinel_credentials(sentinel_user.name.as_deref(), sentinel_user.password.as_ref())
        .with_wait_replicas(wait_replicas);
    with_tls(reader, settings, tls).map(StoreChoice::Redis)
}

/// Each of these keys that is set is a fault.
fn refuse(reader: &mut Reader<'_>, keys: &[&str], rule: &str) {
    for key in keys {
        if reader.is_set(key) {
            reader.contradiction(key, rule);
        }
    }
}

#[derive(Default)]
struct User {
    name: Option<String>,
    password: Option<Secret<String>>,
}

fn user(reader: &mut Reader<'_>, base: &Path, name_key: &'static str, file_key: &'static str) -> User {
    let name = reader.text(name_key, |text| {
        if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("must be the name of a user of Redis, without white space".into());
        }
        Ok(text.to_owned())
    });
    let password = reader.file(file_key, base, client::secret);
    if reader.is_set(name_key) && !reader.is_set(file_key) {
        reader.contradiction(file_key, format!("must be set beside {name_key}"));
    }
    User { name, password }
}

#[derive(Default)]
struct Files {
    authorities: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
    key: Option<Secret<Vec<u8>>>,
}

fn tls(reader: &mut Reader<'_>, base: &Path) -> Files {
    let authorities = reader.file("store.ca_file", base, pem);
    let certificate = reader.file("store.certificate_file", base, pem);
    let key = reader.file("store.key_file", base, |path| pem(path).map(Secret::new));
    for (one, other) in
        [("store.certificate_file", "store.key_file"), ("store.key_file", "store.certificate_file")]
    {
        if reader.is_set(one) && !reader.is_set(other) {
            reader.contradiction(other, format!("must be set beside {one}"));
        }
    }
    Files { authorities, certificate, key }
}

fn pem(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("must be a file that can be read ({error})"))?;
    if bytes.len() as u64 > PEM_BYTES_MAX {
        return Err("must be a file of at most 1 MiB".into());
    }
    Ok(bytes)
}

fn with_tls(reader: &mut Reader<'_>, settings: RedisSettings, files: Files) -> Option<RedisSettings> {
    let Files { authorities, certificate, key } = files;
    let certificate = certificate.zip(key);
    if authorities.is_none() && certificate.is_none() {
        return Some(settings);
    }
    let key = if authorities.is_some() { "store.ca_file" } else { "store.certificate_file" };
    match settings.with_tls(RedisTls { authorities, certificate }) {
        Ok(settings) => Some(settings),
        Err(fault) => {
            let key = match fault {
                RedisTlsFault::NoTls => key,
                RedisTlsFault::Authorities => "store.ca_file",
                RedisTlsFault::Certificate => "store.certificate_file",
            };
            reader.contradiction(key, fault.to_string());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;

    const UPSTREAM: &str = "[upstream]\nurl = 'http://127.0.0.1:8000'\n[sealing]\nkey_file = 'x.keys'\n";

    fn read_store(section: &str) -> Result<String, String> {
        read(&format!("{UPSTREAM}[store]\n{section}\n")).map(|settings| format!("{:?}", settings.store))
    }

    #[test]
    fn each_topology_is_one_line() {
        for (url, expected) in [
            ("redis://u:p@h:1/2", "Standalone"),
            ("redis+sentinel://u:p@h,h2:26380/mymaster", "mymaster"),
            ("rediss+cluster://h:7000,h:7001", "Cluster"),
        ] {
            let read = read_store(&format!("url = '{url}'")).unwrap();
            assert!(read.contains(expected), "{read}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "hunter22\n").unwrap();
        let password = format!("password_file = '{}'", file.display());
        assert!(read_store(&format!("url = 'redis://h'\nusername = 'u'\n{password}")).is_ok());
        assert!(
            read_store(&format!(
                "url = 'redis+sentinel://u:p@h/m'\nsentinel_username = 'u'\nsentinel_{password}"
            ))
            .is_ok()
        );
        for (section, expected) in [
            ("url = 'redis+sentinel://h'".to_owned(), "store.url: must be redis://"),
            (format!("url = 'redis://:x@h'\n{password}"), "store.password_file: must not be set beside"),
            ("url = 'redis://h'\nusername = 'u'".to_owned(), "store.password_file: must be set beside"),
            ("url = 'redis://h'\nusername = 'a b'".to_owned(), "store.username: must be the name"),
            (
                "url = 'redis://h'\npassword_file = '/none'".to_owned(),
                "store.password_file: must be a file that can be read",
            ),
            (
                format!("url = 'redis://h'\nsentinel_{password}"),
                "store.sentinel_password_file: is of use with redis+sentinel://",
            ),
            (
                "url = 'embedded:x.db'\nwait_replicas = 1".to_owned(),
                "store.wait_replicas: is of use with Redis",
            ),
            (format!("url = 'embedded:x.db'\n{password}"), "store.password_file: is of use with Redis"),
            (
                format!("url = 'redis://h'\nca_file = '{}'", file.display()),
                "store.ca_file: is of use with rediss://",
            ),
            (
                format!("url = 'rediss://h'\nca_file = '{}'", file.display()),
                "store.ca_file: must hold certificates",
            ),
            (
                format!("url = 'rediss://h'\ncertificate_file = '{}'", file.display()),
                "store.key_file: must be set beside store.certificate_file",
            ),
            (
                format!("url = 'rediss://h'\ncertificate_file = '{0}'\nkey_file = '{0}'", file.display()),
                "store.certificate_file: must hold a certificate, and store.key_file its key",
            ),
            (
                "url = 'redis://h'\nwait_replicas = -1".to_owned(),
                "store.wait_replicas: must be a whole number",
            ),
        ] {
            let said = read_store(&section).unwrap_err();
            assert!(said.contains(expected), "{section}: {expected}\nis not in\n{said}");
            assert!(!said.contains("hunter22"), "{said}");
        }
    }
}
