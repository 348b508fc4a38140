//! `tfa-gateway check-config`

use crate::config::Settings;

pub(super) fn run(settings: &Settings) {
    println!("the configuration is valid");
    println!("  listens on   {}", settings.listen.address);
    println!("  upstream     {}", settings.upstream.url);
    println!("  store        {}", settings.store);
    println!("  key file     {}", settings.key_file.display());
    let revocation = settings.revocation.as_ref().map_or_else(|| "off".to_owned(), ToString::to_string);
    println!("  revocation   {revocation}");
    println!("  admin        {}", settings.admin_address);
}
