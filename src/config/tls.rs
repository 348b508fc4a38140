//! TLS of a listener, and TLS to servers: certificates, keys and authorities in files.

use std::path::{Path, PathBuf};

use super::{reader::Reader, table::TableReader};
use crate::{
    edge::{CertificateFiles, ClientCertificates, ServerTls, ServerTlsFault},
    upstream::{ClientTls, ClientTlsFault},
};

/// The keys of one listener's TLS.
pub(super) struct ServerTlsKeys {
    /// The chain of the first certificate.
    pub(super) certificate: &'static str,
    /// Its key.
    pub(super) key: &'static str,
    /// A list of further ones, which are found by the names in them.
    pub(super) others: Option<&'static str>,
    /// The authorities of clients.
    pub(super) client_ca: &'static str,
}

/// TLS of a listener, if there is to be any. With `require`, authorities of clients mean that every client shows a
/// certificate.
pub(super) fn server(
    reader: &mut Reader<'_>,
    base: &Path,
    keys: &ServerTlsKeys,
    with_http2: bool,
    require: bool,
) -> Option<ServerTls> {
    let certificate = reader.path(keys.certificate, base);
    let (key, client_ca) = (reader.path(keys.key, base), reader.path(keys.client_ca, base));
    let others = keys.others.map_or_else(Vec::new, |list| others(reader, base, list));
    let (Some(certificate), Some(key)) = (certificate, key) else {
        let is_meant = [keys.certificate, keys.key, keys.client_ca].iter().any(|key| reader.is_set(key));
        if is_meant || !others.is_empty() {
            for key in [keys.certificate, keys.key] {
                if !reader.is_set(key) {
                    reader.contradiction(key, "must be set for TLS on this listener");
                }
            }
        }
        return None;
    };
    let mut files = vec![CertificateFiles { certificate, key }];
    files.extend(others);
    let clients = match &client_ca {
        None => ClientCertificates::Ignored,
        Some(file) if require => ClientCertificates::Required(file.clone()),
        Some(file) => ClientCertificates::Optional(file.clone()),
    };
    let fault = match ServerTls::load(&files, &clients, with_http2) {
        Ok(tls) => return Some(tls),
        Err(fault) => fault,
    };
    let place = |place: usize, first: &str, other: &str| match place.checked_sub(1) {
        None => first.to_owned(),
        Some(place) => format!("{}[{place}].{other}", keys.others.unwrap_or_default()),
    };
    let (name, file) = match &fault {
        ServerTlsFault::Certificate(at, _) => {
            (place(*at, keys.certificate, "certificate_file"), files.get(*at).map(|files| &files.certificate))
        }
        ServerTlsFault::Key(at, _) => {
            (place(*at, keys.key, "key_file"), files.get(*at).map(|files| &files.key))
        }
        ServerTlsFault::ClientCa(_) => (keys.client_ca.to_owned(), client_ca.as_ref()),
    };
    let shown = file.map_or_else(String::new, |file| file.display().to_string());
    reader.contradiction(&name, format!("{fault}, but it is '{shown}'"));
    None
}

/// The further certificates of a listener.
fn others(reader: &mut Reader<'_>, base: &Path, list: &'static str) -> Vec<CertificateFiles> {
    const KEYS: [&str; 2] = ["certificate_file", "key_file"];
    let mut found = Vec::new();
    for (position, table) in reader.tables(list).into_iter().enumerate() {
        let mut table = TableReader::new(reader, list, position, table);
        table.knows(&KEYS, "a certificate");
        for key in KEYS {
            if !table.has(key) {
                table.fault(key, "must be set");
            }
        }
        let [certificate, key] = KEYS.map(|key| table.path(key, base));
        if let (Some(certificate), Some(key)) = (certificate, key) {
            found.push(CertificateFiles { certificate, key });
        }
    }
    found
}

/// The keys of TLS to one server.
pub(super) struct ClientTlsKeys {
    /// The authorities that are trusted.
    pub(super) ca: &'static str,
    /// The gateway's own certificate.
    pub(super) certificate: &'static str,
    /// Its key.
    pub(super) key: &'static str,
}

/// TLS to a server, if anything is said of it.
pub(super) fn client(reader: &mut Reader<'_>, base: &Path, keys: &ClientTlsKeys) -> Option<ClientTls> {
    let [ca, certificate, key] = [keys.ca, keys.certificate, keys.key].map(|key| reader.path(key, base));
    for (one, other) in [(keys.certificate, keys.key), (keys.key, keys.certificate)] {
        if reader.is_set(one) && !reader.is_set(other) {
            reader.contradiction(other, format!("must be set beside {one}"));
        }
    }
    let own: Option<(&PathBuf, &PathBuf)> = certificate.as_ref().zip(key.as_ref());
    if ca.is_none() && own.is_none() {
        return None;
    }
    let own = own.map(|(certificate, key)| (certificate.as_path(), key.as_path()));
    match ClientTls::load(ca.as_deref(), own) {
        Ok(tls) => Some(tls),
        Err(fault) => {
            let (name, file) = match &fault {
                ClientTlsFault::NoAuthorities => (keys.ca, None),
                ClientTlsFault::Ca(_) => (keys.ca, ca),
                ClientTlsFault::Certificate(_) => (keys.certificate, certificate),
                ClientTlsFault::Key(_) => (keys.key, key),
            };
            let shown = file.map_or_else(String::new, |file| format!(", but it is '{}'", file.display()));
            reader.contradiction(name, format!("{fault}{shown}"));
            None
        }
    }
}
