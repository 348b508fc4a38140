//! `tfa-gateway check-config`

use crate::{config::Settings, policy::Enforcement};

pub(super) fn run(settings: &Settings) {
    println!("the configuration is valid");
    println!("  listens on   {}", settings.listen.address);
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
}
