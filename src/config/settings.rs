//! A configuration that was found to be without fault.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{fixed::Fixed, watched::WatchedFile};
use crate::{
    api::ApiSettings,
    edge::{Messages, RequestLimits, ServerTls, TripwireSettings, listener::ListenSettings},
    factor::totp::TotpParameters,
    headers::client_addr::TrustedProxies,
    oauth::{RequestRules, endpoint::TokenEndpoint},
    policy::{AddressRule, Enforcement, grants::GrantRules, lockout::Lockout, rules::Rules},
    portal::PortalSettings,
    store::{StoreChoice, StoreSettings},
    telemetry::{AuditTarget, LogSettings},
    upstream::{OwnerSource, RevocationSettings, UpstreamSettings},
};

/// All settings of the gateway.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The files that it was read from: a change of one of them is a change of the configuration.
    pub files: Vec<WatchedFile>,
    /// What takes a restart to change.
    pub fixed: Fixed,
    /// `[listen] address`
    pub listen_address: SocketAddr,
    /// `[listen]`, and what `[limits]` says of connections
    pub listen: ListenSettings,
    /// `[limits]`, of requests
    pub limits: RequestLimits,
    /// `[listen] threads`, resolved.
    pub threads: usize,
    /// `[listen] drain_delay_secs`
    pub drain_delay: Duration,
    /// `[listen] drain_timeout_secs`
    pub drain_timeout: Duration,
    /// `[listen] trusted_proxies`
    pub trusted_proxies: TrustedProxies,
    /// `[upstream]`
    pub upstream: UpstreamSettings,
    /// `[token_endpoint] path`, and `[upstream] profile`
    pub endpoint: TokenEndpoint,
    /// `[[policy]]`
    pub rules: Rules,
    /// `[enforcement] mode`
    pub enforcement: Enforcement,
    /// `[grants]`
    pub grants: GrantRules,
    /// `[grants] remember_refresh_secs`, with `refresh = "enrolled-after"`
    pub remember_refresh_secs: Option<u64>,
    /// `[devices] remember_days`, in seconds
    pub remember_devices_secs: Option<u64>,
    /// `[grants] implicit_path`
    pub implicit_path: Option<String>,
    /// `[identity] source` and what belongs to it
    pub owners: OwnerSource,
    /// `[identity] addresses`
    pub addresses: AddressRule,
    /// `[tripwire]`
    pub tripwire: TripwireSettings,
    /// `[token_endpoint]`, but for the path
    pub request_rules: RequestRules,
    /// `[store]`
    pub store: StoreChoice,
    /// `[store] plain_secrets`
    pub plain_secrets: bool,
    /// `[store] must_exist`
    pub must_exist: bool,
    /// `[sealing] key_file`
    pub key_file: PathBuf,
    /// `[factor.totp]`
    pub totp: TotpParameters,
    /// `[factor.totp] issuer`
    pub issuer: String,
    /// `[lockout]`
    pub lockout: Lockout,
    /// `[revocation]`, unless it is switched off.
    pub revocation: Option<RevocationSettings>,
    /// `[portal]`, unless it is switched off.
    pub portal: Option<PortalSettings>,
    /// `[messages]`
    pub messages: Messages,
    /// `[audit]`
    pub audit: AuditTarget,
    /// `[audit] abandoned_after_minutes`, unless it is 0
    pub abandoned_after: Option<Duration>,
    /// `[otlp] endpoint`
    pub otlp_endpoint: Option<String>,
    /// `[log]`
    pub log: LogSettings,
    /// `[admin] address`
    pub admin_address: SocketAddr,
    /// `[admin] certificate_file`, `key_file` and `client_ca_file`
    pub admin_tls: Option<ServerTls>,
    /// `[[admin.tokens]]`, and what enrolling needs; none unless somebody may call
    pub api: Option<ApiSettings>,
}

impl Settings {
    /// Keeps what a running gateway cannot change, and what the next comparison goes by.
    pub fn stay_fixed(&mut self, running: &Self) {
        self.fixed = running.fixed.clone();
        self.threads = running.threads;
        self.key_file.clone_from(&running.key_file);
        self.must_exist = running.must_exist;
    }

    /// What both stores go by.
    pub const fn store_settings(&self) -> StoreSettings {
        StoreSettings {
            plain_secrets: self.plain_secrets,
            must_exist: self.must_exist,
            default_totp: self.totp,
            lockout: self.lockout,
        }
    }
}
