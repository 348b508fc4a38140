//! `tfa-gateway keys`: the key file, and what is sealed with its keys.

use std::path::Path;

use clap::{Args, Subcommand};
use futures_util::{StreamExt as _, stream};

use super::{CliError, administer, counted, progress::Progress};
use crate::{
    config::{self, ConfigError, Settings},
    step_up::{Clock as _, ListQuery},
    store::{StoreChoice, key_file},
    telemetry::SystemClock,
    types::limits::LIST_PAGE_MAX,
};

/// Subjects whose records are on their way to the store at once.
const RESEALED_AT_ONCE: usize = 64;

/// What can be done with the key file.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add a key to the key file and make it the current one; older keys go on opening
    Generate(GenerateArguments),
    /// Seal all records with the current key, so that older keys can be taken out of the key file
    Rotate(RotateArguments),
}

/// How it is told.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  tfa-gateway keys generate --config /etc/tfa-gateway/gateway.toml\n\nOf the configuration it needs [sealing] key_file alone. With several gateways: run it on one, copy the file to every\nother one, and enrol nobody until then."
)]
pub(super) struct GenerateArguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// How it is told.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  tfa-gateway keys rotate\n\nFirst `tfa-gateway keys generate`; with several gateways, copy the key file to every one of them before this (it is\ntaken over within two seconds), or those that lack the new key answer 503 for everybody. It may be stopped at any time and run again: what is done stays done."
)]
pub(super) struct RotateArguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The settings that a command needs.
pub(super) fn settings(command: &Command, file: Option<&Path>) -> Result<Settings, ConfigError> {
    match command {
        Command::Generate(_) => config::load_for_keys(file),
        Command::Rotate(_) => config::load(file),
    }
}

pub(super) fn run(settings: &Settings, command: &Command) -> Result<(), CliError> {
    match command {
        Command::Generate(arguments) => generate(settings, arguments),
        Command::Rotate(arguments) => rotate(settings, arguments),
    }
}

fn generate(settings: &Settings, arguments: &GenerateArguments) -> Result<(), CliError> {
    let path = &settings.key_file;
    let id = key_file::generate(path, SystemClock.now())
        .map_err(|error| CliError::Failed("no key was added".into(), error.into()))?;
    if arguments.json {
        println!("{}", serde_json::json!({ "key_id": id.as_str() }));
    } else {
        println!("{} seals from now on; keep a copy of {} apart from the store", id, path.display());
        if matches!(settings.store, StoreChoice::Redis(_)) {
            println!(
                "Copy it to every gateway before anybody is enrolled: one that has not the new key answers 503 for whom \
                 is sealed with it. A gateway that runs takes the copy over within two seconds."
            );
        }
    }
    Ok(())
}

fn rotate(settings: &Settings, arguments: &RotateArguments) -> Result<(), CliError> {
    let current = key_file::load(&settings.key_file)
        .map_err(|error| CliError::Failed("nothing was sealed anew".into(), error.into()))?;
    let mut query = ListQuery { limit: LIST_PAGE_MAX, ..ListQuery::default() };
    let otherwise =
        "not all records were sealed anew; those that were stay so, and a further run does the rest";
    let (names, records, failed) = administer(settings, otherwise, async |admin| {
        let progress = Progress::start("subjects");
        let (mut names, mut records, mut failed) = (0_u64, 0, 0_u64);
        loop {
            let page = admin.list(&query).await?;
            // Many at once, so that a store can commit them together.
            let resealing = page
                .names
                .iter()
                .map(async |name| (&name.summary.name, admin.reseal(&name.summary.name).await));
            let mut resealing = stream::iter(resealing).buffer_unordered(RESEALED_AT_ONCE);
            while let Some((name, resealed)) = resealing.next().await {
                match resealed {
                    Ok(resealed) => records += resealed,
                    Err(error) => {
                        failed += 1;
                        progress.say(&format!("{name}: {}", super::Chain(&error)));
                    }
                }
                names += 1;
            }
            progress.at(names);
            query.cursor = page.next;
            if query.cursor.is_none() {
                if records > 0 {
                    admin.record_resealing(current.current_id()).await?;
                }
                return Ok((names, records, failed));
            }
        }
    })?;
    let key = current.current_id();
    if arguments.json {
        let done = serde_json::json!({
            "key_id": key.as_str(), "names": names, "records_resealed": records, "names_failed": failed,
        });
        println!("{done}");
    } else {
        let (records, names) = (counted(records, "record"), counted(names, "name"));
        println!("{records} of {names} sealed with {key}; all others were already");
    }
    if failed > 0 {
        return Err(CliError::Said(format!(
            "the records of {} could not be sealed anew; keep the older keys until they are",
            counted(failed, "name")
        )));
    }
    Ok(())
}
