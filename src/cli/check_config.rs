//! `tfa-gateway check-config`

use super::{CliError, counted};
use crate::{app, config::Settings};

pub(super) fn run(settings: &Settings) -> Result<(), CliError> {
    // What `serve` would refuse is said here, too.
    let warnings = app::preflight(settings).map_err(|error| {
        CliError::Failed("the configuration is valid, but the gateway would not start".into(), error.into())
    })?;
    println!("the configuration is valid");
    println!("  listens on   {}", settings.listen_address);
    println!("  upstream     {}", settings.upstream.url);
    println!("  store        {}", settings.store);
    println!("  key file     {}", settings.key_file.display());
    let revocation = settings.revocation.as_ref().map_or_else(|| "off".to_owned(), ToString::to_string);
    println!("  revocation   {revocation}");
    let pages = settings.portal.as_ref().map(|portal| portal.url.to_string());
    println!("  portal       {}", pages.unwrap_or_else(|| "off".to_owned()));
    println!("  policy       {}", counted(settings.rules.as_slice().len(), "rule"));
    println!("  admin        {}", settings.admin_address);
    for warning in warnings {
        println!("  WARNING      {warning}");
    }
    Ok(())
}
