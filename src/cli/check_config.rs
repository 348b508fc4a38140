//! `tfa-gateway check-config`

use crate::config::Settings;

pub(super) fn run(settings: &Settings) {
    println!("the configuration is valid");
    println!("  listens on   {}", settings.listen.address);
    println!("  upstream     {}", settings.upstream.url);
    println!("  store        {}", settings.store);
    println!("  key file     {}", settings.key_file.display());
    println!("  admin        {}", settings.admin_address);
}
