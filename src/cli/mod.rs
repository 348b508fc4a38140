//! Layer 6: the command line. One file a command.
//!
//! Exit codes: 0 done; 1 something failed, and standard error says what; 2 the arguments or the
//! configuration are wrong, and nothing was done.

mod alias;
mod check_config;
mod demo;
mod keys;
mod serve;
mod subject;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::config::{self, ConfigError, Settings};

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
    Serve,
    /// Run everything on loopback, with nothing installed: a small OAuth2 server, the gateway, two users
    Demo(demo::Arguments),
    /// Enrol a subject: print a QR code, the otpauth URI and the secret, once
    Enrol(subject::EnrolArguments),
    /// Show a subject's factors and locks
    Status(subject::Arguments),
    /// Remove all factors of a subject: from now on the password is enough
    Disable(subject::Arguments),
    /// Forget a subject's failed attempts and lift the lock
    Unlock(subject::Arguments),
    /// Make a name, such as an e-mail address, another name of a subject, or forget it
    Alias(alias::Arguments),
    /// Work on the key file that seals the secrets in the store
    #[command(subcommand)]
    Keys(keys::Command),
    /// Read the configuration, report every fault, and do nothing else
    CheckConfig,
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
}

/// Parses the arguments, runs the command, and reports on standard error.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tfa-gateway: {}", Chain(&error));
            match error {
                CliError::Config(_) => ExitCode::from(2),
                CliError::Failed(..) | CliError::Said(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn dispatch(cli: &Cli) -> Result<(), CliError> {
    let settings = || -> Result<Settings, CliError> { Ok(config::load(cli.config.as_deref())?) };
    match &cli.command {
        Command::Serve => serve::run(settings()?),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Enrol(arguments) => subject::enrol(&settings()?, arguments),
        Command::Status(arguments) => subject::status(&settings()?, arguments),
        Command::Disable(arguments) => subject::disable(&settings()?, arguments),
        Command::Unlock(arguments) => subject::unlock(&settings()?, arguments),
        Command::Alias(arguments) => alias::run(&settings()?, arguments),
        Command::Keys(command) => keys::run(&settings()?, command),
        Command::CheckConfig => {
            check_config::run(&settings()?);
            Ok(())
        }
    }
}

/// An error with all its causes, on one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
