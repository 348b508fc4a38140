//! What each section holds, and the rules.

use std::{net::SocketAddr, path::Path, time::Duration};

use tracing::level_filters::LevelFilter;

use super::{
    Settings, admin, audit, grants, identity, listen, policy, portal,
    reader::Reader,
    revocation, store,
    tls::{self, ClientTlsKeys},
};
use crate::{
    api::ApiSettings,
    edge::{Messages, TripwireMode, TripwireSettings},
    factor::totp::{Algorithm, TotpParameters},
    oauth::{
        ForwardAs, RequestRules,
        endpoint::{Profile, TokenEndpoint},
    },
    policy::lockout::Lockout,
    portal::PortalSettings,
    store::StoreChoice,
    telemetry::{LogFormat, LogSettings},
    upstream::{UpstreamSettings, UpstreamUrl},
};

/// Reads every section; `None` when a value that has no default is missing or faulty.
pub(super) fn read(reader: &mut Reader<'_>, base: &Path) -> Option<Settings> {
    let listen_address =
        listen::address(reader, "listen.address").unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080)));
    let threads = listen::threads(reader);
    let drain_delay = secs(reader.number("listen.drain_delay_secs", 0..=3600, 0));
    let drain_timeout = secs(reader.number("listen.drain_timeout_secs", 0..=3600, 30));
    let trusted_proxies = listen::trusted_proxies(reader);
    let listen = listen::settings(reader, base, &trusted_proxies);
    let limits = listen::limits(reader);
    let upstream = upstream(reader, base);
    let endpoint = token_endpoint(reader);
    let grants = grants::read(reader);
    let rules = policy::rules(reader);
    let enforcement = policy::enforcement(reader);
    let remember_refresh_secs = grants::remember_refresh_secs(reader, &grants);
    let implicit_path = grants::implicit_path(reader);
    let remember_days: u64 = reader.number("devices.remember_days", 0..=365, 0);
    let tripwire = tripwire(reader);
    let request_rules = request_rules(reader);
    let store = store::read(reader, base);
    let plain_secrets = reader.switch("store.plain_secrets", false);
    let must_exist = reader.switch("store.must_exist", false);
    let key_file = key_file(reader, base, store.as_ref());
    let (totp, issuer) = totp(reader);
    let lockout = lockout(reader);
    let audit = audit::target(reader, base, store.as_ref());
    let abandoned_after = audit::abandoned_after(reader);
    let otlp_endpoint = audit::otlp_endpoint(reader);
    let owners = identity::source(reader, base);
    let addresses = identity::addresses(reader);
    let revocation = revocation::read(reader, base, upstream.as_ref().map(|upstream| &upstream.url));
    let portal = portal::read(reader, base, &issuer);
    if let Some(portal) = &portal
        && endpoint.path().starts_with(portal.url.path())
    {
        reader.contradiction("portal.url", "must not have the token endpoint below its path");
    }
    let messages = messages(reader, portal.as_ref());
    let log = log(reader);
    let admin_address =
        listen::address(reader, "admin.address").unwrap_or(SocketAddr::from(([127, 0, 0, 1], 9090)));
    let admin_tls = admin::tls(reader, base);
    let tokens = admin::tokens(reader);
    let api = (!tokens.is_empty() || reader.is_set("admin.client_ca_file")).then(|| ApiSettings {
        tokens,
        totp,
        issuer: issuer.clone(),
    });
    if admin_address == listen_address && admin_address.port() != 0 {
        reader.contradiction("admin.address", "must differ from listen.address: it must stay private");
    }
    if let Some(upstream) = &upstream
        && upstream.url.is_address(listen_address)
    {
        reader.contradiction("upstream.url", "must not be listen.address: the gateway would call itself");
    }
    Some(Settings {
        files: Vec::new(),
        fixed: super::Fixed::default(),
        listen_address,
        listen,
        limits,
        threads,
        drain_delay,
        drain_timeout,
        trusted_proxies,
        upstream: upstream?,
        endpoint,
        rules,
        enforcement,
        grants,
        remember_refresh_secs,
        implicit_path,
        remember_devices_secs: (remember_days > 0).then_some(remember_days * 24 * 3600),
        owners: owners?,
        addresses,
        tripwire,
        request_rules,
        store: store?,
        plain_secrets,
        must_exist,
        key_file: key_file?,
        totp,
        issuer,
        lockout,
        revocation,
        portal,
        messages,
        audit,
        abandoned_after,
        otlp_endpoint,
        log,
        admin_address,
        admin_tls,
        api,
    })
}

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

const UPSTREAM_TLS: ClientTlsKeys = ClientTlsKeys {
    ca: "upstream.ca_file",
    certificate: "upstream.certificate_file",
    key: "upstream.key_file",
};

fn upstream(reader: &mut Reader<'_>, base: &Path) -> Option<UpstreamSettings> {
    let connect_timeout = millis(reader.number("upstream.connect_timeout_ms", 1..=600_000, 2_000));
    let response_timeout = millis(reader.number("upstream.response_timeout_ms", 1..=3_600_000, 60_000));
    let idle_timeout = secs(reader.number("upstream.idle_timeout_secs", 1..=3600, 4));
    let connections_max = reader.number("upstream.connections_max", 1..=1_000_000, 1024);
    let queue_max = reader.number("upstream.queue_max", 0..=1_000_000, 256);
    let queue_timeout = millis(reader.number("upstream.queue_timeout_ms", 1..=60_000, 1_000));
    let tls = tls::client(reader, base, &UPSTREAM_TLS);
    let url = reader.required("upstream.url", "must be set, such as http://127.0.0.1:8000", |text| {
        UpstreamUrl::parse(text).map_err(|fault| fault.to_string())
    })?;
    Some(UpstreamSettings {
        tls,
        connect_timeout,
        response_timeout,
        idle_timeout,
        connections_max,
        queue_max,
        queue_timeout,
        ..UpstreamSettings::at(url)
    })
}

fn token_endpoint(reader: &mut Reader<'_>) -> TokenEndpoint {
    const RULE: &str =
        "must be a path of plain segments: lower-case letters, digits, '-' and '_', such as /oauth2/token";
    let profile = reader.text("upstream.profile", |text| {
        Profile::parse(text).ok_or_else(|| "must be generic, drupal7 or php".into())
    });
    reader
        .text("token_endpoint.path", |text| TokenEndpoint::parse(text).ok_or_else(|| RULE.into()))
        .unwrap_or_default()
        .with_profile(profile.unwrap_or_default())
}

fn request_rules(reader: &mut Reader<'_>) -> RequestRules {
    let default = RequestRules::default();
    let forward_as = reader.text("token_endpoint.forward_as", |text| {
        ForwardAs::parse(text).ok_or_else(|| "must be as-received, form or json".into())
    });
    RequestRules {
        multipart: reader.switch("token_endpoint.multipart", default.multipart),
        forward_as: forward_as.unwrap_or(default.forward_as),
        require_client: reader.switch("token_endpoint.require_client", default.require_client),
    }
}

fn tripwire(reader: &mut Reader<'_>) -> TripwireSettings {
    let mode = reader.text("tripwire.mode", |text| match text {
        "stop" => Ok(TripwireMode::Stop),
        "report" => Ok(TripwireMode::Report),
        "off" => Ok(TripwireMode::Off),
        _ => Err("must be stop, report or off".into()),
    });
    let may_issue = reader.list("tripwire.may_issue", |text| {
        let is_path =
            text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && !b"%;\\?#".contains(&b));
        let (beginning, is_short) = (text.trim_end_matches('*'), text.matches('*').count() <= 1);
        if is_path && is_short && !beginning.contains('*') && beginning.len() > 1 {
            Ok(text.to_owned())
        } else {
            Err("must hold paths such as /sso/login, or beginnings of paths such as /sso/*".into())
        }
    });
    TripwireSettings { mode: mode.unwrap_or_default(), may_issue: may_issue.unwrap_or_default() }
}

fn key_file(reader: &mut Reader<'_>, base: &Path, store: Option<&StoreChoice>) -> Option<std::path::PathBuf> {
    let named = reader.text("sealing.key_file", |text| {
        if text.is_empty() { Err("must name a file".to_owned()) } else { Ok(base.join(text)) }
    });
    match (named, store) {
        (Some(path), _) => Some(path),
        (None, Some(StoreChoice::Embedded(embedded))) => Some(embedded.path.with_extension("keys")),
        (None, Some(StoreChoice::Redis(_))) => {
            reader.contradiction(
                "sealing.key_file",
                "must be set, to the same file for every gateway, when the store is Redis: set it, such as key_file = \
                 \"tfa-gateway.keys\"; then `tfa-gateway keys generate` makes the file",
            );
            None
        }
        (None, None) => None,
    }
}

fn totp(reader: &mut Reader<'_>) -> (TotpParameters, String) {
    let default = TotpParameters::default();
    let algorithm = reader
        .text("factor.totp.algorithm", |text| {
            Algorithm::parse(text).ok_or_else(|| "must be SHA1, SHA256 or SHA512".into())
        })
        .unwrap_or(default.algorithm());
    let digits = reader.number("factor.totp.digits", 6..=8, default.digits());
    let period = reader.number("factor.totp.period_secs", 15..=300, default.period_secs());
    let skew = reader.number("factor.totp.skew_steps", 0..=5, default.skew_steps());
    let issuer = reader
        .text("factor.totp.issuer", |text| {
            let fits = !text.is_empty()
                && text.len() <= 64
                && !text.contains(':')
                && !text.chars().any(char::is_control);
            if fits { Ok(text.to_owned()) } else { Err("must be 1 to 64 bytes without ':'".into()) }
        })
        .unwrap_or_else(|| "tfa-gateway".into());
    // The reader has kept the bounds, which are the same.
    (TotpParameters::new(algorithm, digits, period, skew).unwrap_or(default), issuer)
}

fn lockout(reader: &mut Reader<'_>) -> Lockout {
    let default = Lockout::default();
    let lockout = Lockout {
        failures_max: reader.number("lockout.failures_max", 1..=100, default.failures_max),
        window_secs: reader.number("lockout.window_secs", 60..=86_400, default.window_secs),
        lock_secs: reader.number("lockout.lock_secs", 60..=86_400, default.lock_secs),
        lock_secs_max: reader.number("lockout.lock_secs_max", 60..=86_400, default.lock_secs_max),
    };
    if lockout.lock_secs_max < lockout.lock_secs {
        let rule = format!("must be at least lockout.lock_secs, which is {}", lockout.lock_secs);
        reader.contradiction("lockout.lock_secs_max", rule);
    }
    lockout
}

fn messages(reader: &mut Reader<'_>, portal: Option<&PortalSettings>) -> Messages {
    let plain = |text: &str| {
        if text.trim().is_empty() || text.len() > 500 || text.chars().any(char::is_control) {
            return Err("must be 1 to 500 bytes of text on one line".to_owned());
        }
        Ok(text.to_owned())
    };
    let with_minutes = |text: &str| {
        let rest = text.replace("{minutes}", "");
        if rest.contains(['{', '}']) {
            return Err("must not hold braces but those of {minutes}".to_owned());
        }
        plain(text)
    };
    let mut default = Messages::default();
    if let Some(portal) = portal {
        // Where to do it is part of the default, where that is known.
        default.enrolment_wanted =
            format!("Two-factor authentication must be set up at {} before you can log in", portal.url);
    }
    Messages {
        required: reader.text("messages.required", plain).unwrap_or(default.required),
        wrong: reader.text("messages.wrong", plain).unwrap_or(default.wrong),
        used: reader.text("messages.used", plain).unwrap_or(default.used),
        locked: reader.text("messages.locked", with_minutes).unwrap_or(default.locked),
        locked_for_good: reader.text("messages.locked_for_good", plain).unwrap_or(default.locked_for_good),
        enrolment_wanted: reader.text("messages.enrolment_wanted", plain).unwrap_or(default.enrolment_wanted),
    }
}

fn log(reader: &mut Reader<'_>) -> LogSettings {
    let default = LogSettings::default();
    let level = reader.text("log.level", |text| {
        text.parse::<LevelFilter>()
            .ok()
            .filter(|_| text.bytes().all(|b| b.is_ascii_lowercase()))
            .ok_or_else(|| "must be error, warn, info, debug or trace".into())
    });
    let format = reader.text("log.format", |text| match text {
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be human or json".into()),
    });
    LogSettings { level: level.unwrap_or(default.level), format: format.unwrap_or(default.format) }
}
