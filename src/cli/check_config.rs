//! `tfa-gateway check-config`

use std::io::{self, Write as _};

use super::{CliError, counted, goes_on};
use crate::{app, config::Settings};

pub(super) fn run(settings: &Settings) -> Result<(), CliError> {
    // What `serve` would refuse is said here, too.
    let warnings = app::preflight(settings).map_err(|error| {
        CliError::Failed("the configuration is valid, but the gateway would not start".into(), error.into())
    })?;
    let revocation = settings.revocation.as_ref().map_or_else(|| "off".to_owned(), ToString::to_string);
    let pages = settings.portal.as_ref().map_or_else(|| "off".to_owned(), |portal| portal.url.to_string());
    let mut lines = vec![
        "the configuration is valid".to_owned(),
        format!("  listens on   {}", settings.listen_address),
        format!("  upstream     {}", settings.upstream.url),
        format!("  store        {}", settings.store),
        format!("  key file     {}", settings.key_file.display()),
        format!("  revocation   {revocation}"),
        format!("  portal       {pages}"),
        format!("  policy       {}", counted(settings.rules.as_slice().len(), "rule")),
        format!("  admin        {}", settings.admin_address),
    ];
    lines.extend(warnings.iter().map(|warning| format!("  WARNING      {warning}")));
    goes_on(writeln!(io::stdout(), "{}", lines.join("\n"))).map(drop)
}
