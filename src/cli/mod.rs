//! Layer 7: the command line. One file a command.
//!
//! Exit codes: 0 done; 1 something failed, and standard error says what; 2 the arguments or the
//! configuration are wrong, and nothing was done.

mod alias;
mod api_token;
mod check_config;
mod completions;
mod demo;
mod devices;
mod explain;
mod export;
mod import;
mod keys;
mod list;
mod progress;
mod serve;
mod subject;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{
    admin::{AdminError, Administration},
    app,
    config::{self, ConfigError, Settings},
    step_up::Actor,
    store::{Store, StoreChoice},
    telemetry::SystemClock,
};

/// Adds a second factor to the password grant of an OAuth2 server, as a reverse proxy in front of it.
#[derive(Debug, Parser)]
#[command(
    name = "tfa-gateway",
    version,
    after_help = "Examples:\n  tfa-gateway demo                      try it, with nothing installed\n  tfa-gateway serve --config /etc/tfa-gateway/gateway.toml\n  tfa-gateway enrol alice               show a QR code for alice's authenticator app\n\nEvery setting can be overridden by an environment variable TFA_GATEWAY_<SECTION>__<KEY>,\nfor example TFA_GATEWAY_UPSTREAM__URL=http://127.0.0.1:8000"
)]
struct Cli {
    /// The configuration file [default: gateway.toml, if there is one]
    #[arg(short, long, global = true, env = "TFA_GATEWAY_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway until SIGTERM or ctrl-c
    #[command(after_help = "Example:\n  tfa-gateway serve --config /etc/tfa-gateway/gateway.toml")]
    Serve,
    /// Run everything on loopback, with nothing installed: a small OAuth2 server, the gateway, two users
    Demo(demo::Arguments),
    /// Enrol a subject: print a QR code, the otpauth URI and the secret, once
    Enrol(subject::EnrolArguments),
    /// Make a factor count that was enrolled with --pending, by a code of it
    Confirm(subject::ConfirmArguments),
    /// Show a subject's factors, recovery codes and locks
    #[command(after_help = "Example:\n  tfa-gateway status alice --json")]
    Status(subject::Arguments),
    /// List the names that are enrolled, or aliases
    List(list::ListArguments),
    /// Remove one factor of a subject
    Remove(subject::RemoveArguments),
    /// Remove all factors of a subject: from now on the password is enough
    #[command(after_help = "Example:\n  tfa-gateway disable alice")]
    Disable(subject::Arguments),
    /// Forget a subject's failed attempts and lift the lock
    #[command(after_help = "Example:\n  tfa-gateway unlock alice")]
    Unlock(subject::Arguments),
    /// Make ten recovery codes for a subject, and print them, once; earlier ones work no more
    #[command(after_help = "Example:\n  tfa-gateway recovery-codes alice")]
    RecoveryCodes(subject::Arguments),
    /// List the clients that are remembered for a subject, or forget them
    Devices(devices::Arguments),
    /// Make a name, such as an e-mail address, another name of a subject, or forget it
    Alias(alias::Arguments),
    /// Take factors over from another system
    Import(import::Arguments),
    /// Write all factors to a file, sealed, for another gateway
    Export(export::Arguments),
    /// Show what was changed, by whom and when
    Audit(list::AuditArguments),
    /// Say which rule of the configuration decides over a log-in, and why
    Explain(explain::Arguments),
    /// Make a token for a client of the administration API
    ApiToken(api_token::Arguments),
    /// Work on the key file that seals the secrets in the store
    #[command(subcommand)]
    Keys(keys::Command),
    /// Read the configuration, report every fault, and do nothing else
    #[command(after_help = "Example:\n  tfa-gateway check-config --config /etc/tfa-gateway/gateway.toml")]
    CheckConfig,
    /// Print completions for a shell
    Completions(completions::Arguments),
}

/// Why a command ended without having done its work.
#[derive(Debug, thiserror::Error)]
enum CliError {
    /// Exit code 2.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Exit code 1.
    #[error("{0}")]
    Failed(String, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// Exit code 1.
    #[error("{0}")]
    Said(String),
    /// A value among the arguments does not suit. Exit code 2.
    #[error("{0}")]
    Unsuitable(String),
}

/// Parses the arguments, runs the command, and reports on standard error.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tfa-gateway: {}", Chain(&error));
            match error {
                CliError::Config(_) | CliError::Unsuitable(_) => ExitCode::from(2),
                CliError::Failed(..) | CliError::Said(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn dispatch(cli: &Cli) -> Result<(), CliError> {
    let settings = || -> Result<Settings, CliError> { Ok(config::load(cli.config.as_deref())?) };
    let existing = || settings().and_then(|settings| store_exists(&settings).map(|()| settings));
    match &cli.command {
        Command::Serve => serve::run(settings()?, cli.config.clone()),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Enrol(arguments) => subject::enrol(&settings()?, arguments),
        Command::Confirm(arguments) => subject::confirm(&existing()?, arguments),
        Command::Remove(arguments) => subject::remove(&existing()?, arguments),
        Command::RecoveryCodes(arguments) => subject::recovery_codes(&settings()?, arguments),
        Command::List(arguments) => list::list(&existing()?, arguments),
        Command::Audit(arguments) => list::audit(&existing()?, arguments),
        Command::Status(arguments) => subject::status(&existing()?, arguments),
        Command::Disable(arguments) => subject::disable(&existing()?, arguments),
        Command::Unlock(arguments) => subject::unlock(&existing()?, arguments),
        Command::Devices(arguments) => devices::run(&existing()?, arguments),
        Command::Alias(arguments) => alias::run(&settings()?, arguments),
        Command::Import(arguments) => import::run(&settings()?, arguments),
        Command::Export(arguments) => export::run(&existing()?, arguments),
        Command::Explain(arguments) => explain::run(&settings()?, arguments),
        Command::ApiToken(arguments) => api_token::run(arguments),
        Command::Keys(command) => keys::run(&keys::settings(command, cli.config.as_deref())?, command),
        Command::CheckConfig => check_config::run(&settings()?),
        Command::Completions(arguments) => completions::run(arguments),
    }
}

/// Opens the configured store, on a runtime of its own, for one piece of work; `otherwise` says what it
/// means that it failed.
fn administer<T>(
    settings: &Settings,
    otherwise: &str,
    work: impl AsyncFnOnce(&Administration<'_, Store, SystemClock>) -> Result<T, AdminError>,
) -> Result<T, CliError> {
    let actor = Actor::command_line(&user());
    let done =
        app::with_store(settings, async |store| work(&Administration::new(store, &SystemClock, actor)).await);
    match done {
        Err(error) => Err(CliError::Failed(otherwise.into(), error.into())),
        Ok(Err(error @ AdminError::NotRecorded(_))) => {
            Err(CliError::Failed("it was done".into(), error.into()))
        }
        Ok(Err(error)) => Err(CliError::Failed(otherwise.into(), error.into())),
        Ok(Ok(done)) => Ok(done),
    }
}

/// So many of something.
fn counted(count: impl TryInto<u64>, what: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Refuses to look into an embedded store that is not there: a mistyped path would be a store of nobody.
fn store_exists(settings: &Settings) -> Result<(), CliError> {
    match &settings.store {
        StoreChoice::Embedded(embedded) if !embedded.path.exists() => Err(CliError::Said(format!(
            "there is no store yet at {} ([store] url); `serve`, `enrol` and `import` make it",
            embedded.path.display()
        ))),
        StoreChoice::Embedded(_) | StoreChoice::Redis(_) => Ok(()),
    }
}

/// Whether there is more to be written. Whoever reads may have read enough; anything else is a failure.
fn goes_on(written: std::io::Result<()>) -> Result<bool, CliError> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CliError::Failed("not all of it could be written".into(), error.into())),
    }
}

/// Who runs this, as far as the environment says, and the number that the system knows.
fn user() -> String {
    let uid = rustix::process::getuid().as_raw();
    let is_name = |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
    let named = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    named.filter(is_name).map_or_else(|| format!("uid {uid}"), |name| format!("{name} (uid {uid})"))
}

/// An error with all its causes, on one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some errors of libraries say what their cause says.
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            cause = error.source();
        }
        Ok(())
    }
}
