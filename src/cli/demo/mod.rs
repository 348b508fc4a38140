//! `tfa-gateway demo`: the whole thing on loopback, with nothing installed.

mod oauth_server;

use std::net::SocketAddr;

use clap::Args;

use super::{CliError, administer, subject::draw};
use crate::{
    admin::NewEnrolment,
    app, config,
    factor::totp::Totp,
    identity::fold_username,
    step_up::Clock as _,
    telemetry::{self, SystemClock},
    types::Secret,
};

/// Where the demonstration listens.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tfa-gateway demo --listen 127.0.0.1:9999")]
pub(super) struct Arguments {
    /// Where the gateway listens
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), CliError> {
    let failed =
        |what: &'static str| move |error: std::io::Error| CliError::Failed(what.into(), error.into());
    let directory = tempfile::tempdir().map_err(failed("no directory for the demonstration's store"))?;
    let upstream =
        oauth_server::start().map_err(failed("the demonstration's OAuth2 server does not start"))?;
    let settings = config::demo(directory.path(), arguments.listen, upstream)?;
    let _log = telemetry::init(settings.log);

    let alice = fold_username("alice").map_err(|fault| CliError::Said(fault.to_string()))?;
    let new = NewEnrolment {
        secret: None,
        parameters: settings.totp,
        label: Some("demo".into()),
        issuer: settings.issuer.clone(),
        account: "alice".into(),
    };
    let enrolled =
        administer(&settings, "alice cannot be enrolled", async |admin| admin.enrol(&alice, new).await)?;

    let parameters = settings.totp;
    app::serve(settings, None, |addresses| {
        let url = format!("http://{}", addresses.gateway);
        println!("{}\n", draw(&enrolled.otpauth_uri).unwrap_or_default());
        print!("{}", introduction(&url, upstream, &enrolled.secret_base32));
        let secret =
            data_encoding::BASE32_NOPAD.decode(enrolled.secret_base32.as_bytes()).unwrap_or_default();
        if let Ok(totp) = Totp::new(parameters, &Secret::new(secret)) {
            tokio::task::spawn_local(show_codes(totp, url));
        }
    })
    .map_err(|error| {
        CliError::Failed("the demonstration ended (for another address: --listen)".into(), error.into())
    })
}

fn introduction(url: &str, upstream: SocketAddr, secret: &str) -> String {
    let grant = |user: &str, password: &str| {
        format!(
            "curl -i -u demo:demo -d grant_type=password -d username={user} -d password={password} {url}/oauth2/token"
        )
    };
    format!(
        "The OAuth2 server without a second factor is at http://{upstream}, the gateway in front of it at {url}.\n\
         Scan the code above to be alice, or type her secret: {secret}\n\n\
         bob has no second factor, so his password is enough:\n\n  {}\n\n\
         alice is challenged (401 with X-Drupal-TFA):\n\n  {}\n\n\
         and gets her token with a code, which works once; a new one follows every 30 seconds. Ctrl-c ends it.\n",
        grant("bob", "hunter22"),
        grant("alice", "passw0rd"),
    )
}

/// Prints alice's curl line with each new code, until the end.
async fn show_codes(totp: Totp, url: String) {
    let period = u64::from(totp.parameters().period_secs());
    loop {
        let now = SystemClock.now();
        println!(
            "\n  curl -i -u demo:demo -H 'X-Drupal-TFA: {}' -d grant_type=password -d username=alice \
             -d password=passw0rd {url}/oauth2/token",
            *totp.passcode_now(now),
        );
        let rest = period - now.as_secs() % period;
        tokio::time::sleep(std::time::Duration::from_secs(rest)).await;
    }
}
