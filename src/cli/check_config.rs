//! `tfa-gateway check-config`

use super::CliError;
use crate::{
    config::Settings,
    policy::Enforcement,
    store::{StoreChoice, key_file},
};

pub(super) fn run(settings: &Settings) -> Result<(), CliError> {
    // What `serve` would refuse is said here, too.
    if matches!(settings.store, StoreChoice::Redis(_)) || settings.key_file.exists() {
        key_file::load(&settings.key_file).map_err(|error| {
            CliError::Failed(
                "the configuration is valid, but the gateway would not start".into(),
                error.into(),
            )
        })?;
    }
    println!("the configuration is valid");
    println!("  listens on   {}", settings.listen_address);
    println!("  upstream     {}", settings.upstream.url);
    println!("  store        {}", settings.store);
    println!("  key file     {}", settings.key_file.display());
    let revocation = settings.revocation.as_ref().map_or_else(|| "off".to_owned(), ToString::to_string);
    println!("  revocation   {revocation}");
    let pages = settings.portal.as_ref().map(|portal| portal.url.to_string());
    println!("  portal       {}", pages.unwrap_or_else(|| "off".to_owned()));
    println!("  policy       {} rules", settings.rules.as_slice().len());
    println!("  admin        {}", settings.admin_address);
    if settings.enforcement == Enforcement::AuditOnly {
        println!("  NOTHING IS ENFORCED ([enforcement] mode = \"audit-only\"): every token is let out");
    }
    Ok(())
}
