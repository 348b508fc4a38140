//! A configuration that was found to be without fault.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::{
    edge::{Messages, client_addr::TrustedProxies, listener::ListenSettings},
    factor::totp::TotpParameters,
    oauth::endpoint::TokenEndpoint,
    policy::lockout::Lockout,
    store::{StoreChoice, StoreSettings},
    telemetry::LogSettings,
    upstream::{RevocationSettings, UpstreamSettings},
};

/// All settings of the gateway.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `[listen]`
    pub listen: ListenSettings,
    /// `[listen] threads`, resolved.
    pub threads: usize,
    /// `[listen] drain_timeout_secs`
    pub drain_timeout: Duration,
    /// `[listen] trusted_proxies`
    pub trusted_proxies: TrustedProxies,
    /// `[upstream]`
    pub upstream: UpstreamSettings,
    /// `[token_endpoint] path`
    pub endpoint: TokenEndpoint,
    /// `[grants] refused`
    pub grants_refused: Vec<String>,
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
    /// `[messages]`
    pub messages: Messages,
    /// `[log]`
    pub log: LogSettings,
    /// `[admin] address`
    pub admin_address: SocketAddr,
}

impl Settings {
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
