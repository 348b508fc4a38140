//! `tfa-gateway keys generate`

use clap::Subcommand;

use super::CliError;
use crate::{config::Settings, step_up::Clock as _, store::key_file, telemetry::SystemClock};

/// What can be done with the key file.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add a key to the key file and make it the current one; older keys go on opening
    Generate,
}

pub(super) fn run(settings: &Settings, command: &Command) -> Result<(), CliError> {
    match command {
        Command::Generate => {
            let path = &settings.key_file;
            let id = key_file::generate(path, SystemClock.now())
                .map_err(|error| CliError::Failed("no key was added".into(), error.into()))?;
            println!("{} seals from now on; keep a copy of {} apart from the store", id, path.display());
            Ok(())
        }
    }
}
