//! `[listen]` and `[limits]`: where clients connect, and how much they may ask for.

use std::{net::SocketAddr, path::Path, time::Duration};

use super::{
    reader::Reader,
    tls::{self, ServerTlsKeys},
};
use crate::{
    edge::{RequestLimits, listener::ListenSettings},
    headers::client_addr::TrustedProxies,
    policy::throttle::Throttle,
    upstream::UploadLimits,
};

const KEYS: ServerTlsKeys = ServerTlsKeys {
    certificate: "listen.certificate_file",
    key: "listen.key_file",
    others: Some("listen.certificates"),
    client_ca: "listen.client_ca_file",
};

/// What is wrong with an address.
pub(super) const ADDRESS_RULE: &str = "must be ADDRESS:PORT, such as 127.0.0.1:8080 or [::]:8080";

/// Where clients connect.
pub(super) fn address(reader: &mut Reader<'_>, key: &'static str) -> Option<SocketAddr> {
    reader.text(key, |text| text.parse().map_err(|_| ADDRESS_RULE.into()))
}

/// Data-plane threads; 0 stands for one a core.
pub(super) fn threads(reader: &mut Reader<'_>) -> usize {
    match reader.number("listen.threads", 0..=1024, 0_usize) {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        n => n,
    }
}

/// How connections are served.
pub(super) fn settings(reader: &mut Reader<'_>, base: &Path, trusted: &TrustedProxies) -> ListenSettings {
    let default = ListenSettings::default();
    let with_http2 = reader.switch("listen.http2", true);
    let proxy_protocol = reader.switch("listen.proxy_protocol", default.proxy_protocol);
    if proxy_protocol && trusted.is_empty() {
        reader.contradiction(
            "listen.proxy_protocol",
            "must stand beside listen.trusted_proxies, the addresses from which PROXY headers come: anybody could \
             write one",
        );
    }
    ListenSettings {
        header_timeout: secs(reader.number("listen.header_timeout_secs", 1..=3600, 30)),
        connections_max: reader.number("listen.connections_max", 1..=1_000_000, default.connections_max),
        client_connections_max: reader.number(
            "limits.client_connections_max",
            1..=1_000_000,
            default.client_connections_max,
        ),
        head_bytes_max: reader.number("limits.head_bytes_max", 8192..=1_048_576, default.head_bytes_max),
        fields_max: reader.number("limits.fields_max", 16..=1000, default.fields_max),
        http2_streams_max: reader.number("limits.http2_streams_max", 1..=10_000, default.http2_streams_max),
        tls: tls::server(reader, base, &KEYS, with_http2, true),
        proxy_protocol,
        trusted_proxies: trusted.clone(),
    }
}

/// Whose word about the client is believed.
pub(super) fn trusted_proxies(reader: &mut Reader<'_>) -> TrustedProxies {
    let networks = reader.list("listen.trusted_proxies", |text| {
        TrustedProxies::parse_network(text)
            .ok_or_else(|| "must hold addresses or networks, such as 10.0.0.0/8 or ::1".to_owned())
    });
    TrustedProxies::new(networks.unwrap_or_default())
}

/// How much a request may bring, and how many there may be.
pub(super) fn limits(reader: &mut Reader<'_>) -> RequestLimits {
    let default = RequestLimits::default();
    let uploads = UploadLimits::default();
    let bytes_max: u64 = reader.number("limits.body_bytes_max", 0..=u64::MAX, uploads.bytes_max);
    RequestLimits {
        requests_max: reader.number("limits.requests_max", 1..=1_000_000, default.requests_max),
        token_body_timeout: secs(reader.number("limits.token_body_timeout_secs", 1..=600, 10)),
        throttle: throttle(reader),
        uploads: UploadLimits {
            bytes_max: if bytes_max == 0 { u64::MAX } else { bytes_max },
            silence_max: secs(reader.number("limits.body_silence_secs", 1..=3600, 30)),
            bytes_per_sec_min: reader.number(
                "limits.body_bytes_per_sec_min",
                0..=1_000_000,
                uploads.bytes_per_sec_min,
            ),
        },
    }
}

/// How many token requests a client may send; 0 stands for any number.
fn throttle(reader: &mut Reader<'_>) -> Option<Throttle> {
    let per_minute = reader.number("limits.token_requests_per_minute", 0..=60_000, 0);
    let burst = reader.number("limits.token_requests_burst", 1..=10_000, 20);
    (per_minute > 0).then_some(Throttle { per_minute, burst })
}

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{LEAST, read};

    #[test]
    fn a_proxy_header_is_believed_of_somebody_named_only() {
        let said = read(&format!("{LEAST}[listen]\nproxy_protocol = true\n")).unwrap_err();
        assert!(said.contains("listen.proxy_protocol: must stand beside listen.trusted_proxies"), "{said}");
        let listen = "[listen]\nproxy_protocol = true\ntrusted_proxies = ['10.0.0.1']\n";
        assert!(read(&format!("{LEAST}{listen}")).unwrap().listen.proxy_protocol);
    }

    #[test]
    fn tls_wants_its_files_whole() {
        for (section, expected) in [
            ("certificate_file = '/x'", "listen.key_file: must be set"),
            ("client_ca_file = '/x'", "listen.certificate_file: must be set"),
            (
                "[[listen.certificates]]\ncertificate_file = '/x'",
                "listen.certificates[0].key_file: must be set",
            ),
            (
                "[[listen.certificates]]\ncertificate_file = '/x'\nkey_file = '/x'",
                "listen.certificate_file: must be set",
            ),
            ("[[listen.certificates]]\nfile = '/x'", "listen.certificates[0].file: is not a setting"),
            (
                "certificate_file = '/x'\nkey_file = '/x'",
                "listen.certificate_file: must be a file with certificates",
            ),
        ] {
            let said = read(&format!("{LEAST}[listen]\n{section}\n")).unwrap_err();
            assert!(said.contains(expected), "{section}: {said}");
        }
    }
}
