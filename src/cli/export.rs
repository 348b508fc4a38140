//! `export`: all factors in one file, sealed for another gateway, or in clear.
//!
//! Invariants: a file appears whole or not at all, and only its owner may read it.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use tempfile::NamedTempFile;
use tokio::signal::unix::{SignalKind, signal};

use super::{CliError, administer, counted, progress::Progress};
use crate::{
    admin::{AdminError, ExportFile, ExportSummary},
    config::Settings,
    sealing::KeyRing,
    store::key_file,
};

/// What to write, and where.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tfa-gateway export --output factors.sealed\n  tfa-gateway export --plain --yes-secrets-in-clear --output factors.txt\n\nThe sealed file opens with the key file of this gateway only. It has factors, recovery codes and aliases; the plain one\nhas the factors alone."
)]
pub(super) struct Arguments {
    /// Write otpauth URIs in clear, as `import --format otpauth` and other systems read them
    #[arg(long, requires = "yes_secrets_in_clear")]
    plain: bool,
    /// Whoever reads the plain file can make everybody's codes, and that is meant
    #[arg(long, requires = "plain")]
    yes_secrets_in_clear: bool,
    /// The file to write, which only its owner may read [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print one JSON object that sums up, on standard error if the file goes to standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(settings: &Settings, arguments: &Arguments) -> Result<(), CliError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        CliError::Failed("nothing was exported".into(), error)
    };
    let ring = key_file::load(&settings.key_file).map_err(|error| failed(error.into()))?;
    let target = arguments.output.as_deref().filter(|path| *path != Path::new("-"));
    let summary = match target {
        None => write(settings, arguments, &ring, || Ok(io::stdout().lock()))?.0,
        Some(path) => {
            // A device or a pipe would be replaced by a file, and the secrets lie there.
            if path.metadata().is_ok_and(|found| !found.is_file()) {
                return Err(CliError::Said(format!(
                    "nothing was exported: {} is no regular file; leave --output out for standard output",
                    path.display()
                )));
            }
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let beside = || {
                NamedTempFile::new_in(directory.unwrap_or_else(|| Path::new("."))).map_err(|error| {
                    // The error of the library names a file of its own making.
                    let kind = error.kind();
                    io::Error::new(kind, format!("{} cannot be written: {kind}", path.display()))
                })
            };
            let (summary, file) = write(settings, arguments, &ring, beside)?;
            file.as_file().sync_all().map_err(|error| failed(error.into()))?;
            file.persist(path).map_err(|error| failed(error.into()))?;
            summary
        }
    };
    sum_up(&summary, arguments, target.is_some());
    if summary.failed > 0 {
        return Err(CliError::Said(format!(
            "the records of {} cannot be opened, and were left out",
            counted(summary.failed, "name")
        )));
    }
    Ok(())
}

fn write<W: Write>(
    settings: &Settings,
    arguments: &Arguments,
    ring: &KeyRing,
    open: impl FnOnce() -> io::Result<W>,
) -> Result<(ExportSummary, W), CliError> {
    administer(settings, "the export was not finished, and is not whole", async |admin| {
        // First of all: there must be no file that a signal could leave behind.
        let stopped = stopped().map_err(AdminError::File)?;
        let mut out = open().map_err(AdminError::File)?;
        let buffered = BufWriter::new(&mut out);
        let file = if arguments.plain {
            ExportFile::plain(buffered, &settings.issuer)
        } else {
            ExportFile::sealed(buffered, ring)?
        };
        let progress = Progress::start("names");
        let exported = admin.export(file, |read, problem| {
            progress.at(read);
            if let Some((name, error)) = problem {
                progress.say(&format!("{name}: {}", super::Chain(error)));
            }
        });
        // The file is dropped, and with it what was written so far.
        let summary = tokio::select! {
            exported = exported => exported?,
            () = stopped => return Err(AdminError::File(io::ErrorKind::Interrupted.into())),
        };
        Ok((summary, out))
    })
}

/// Ends when somebody stops the work, by any signal that would end the process at once from now on otherwise.
fn stopped() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut quit = signal(SignalKind::quit())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            _ = quit.recv() => {}
        }
    })
}

/// Beside what was exported: what goes to standard output is the export itself.
fn sum_up(summary: &ExportSummary, arguments: &Arguments, is_in_file: bool) {
    let ExportSummary { factors, aliases, recovery_codes, failed } = *summary;
    let in_words =
        [(factors, "factor"), (aliases, "alias"), (recovery_codes, "recovery code")].map(|(count, what)| {
            match what {
                "alias" if count != 1 => format!("{count} aliases"),
                _ => counted(count, what),
            }
        });
    let [of_factors, of_aliases, of_codes] = &in_words;
    let text = if arguments.json {
        serde_json::json!({
            "factors": factors, "aliases": aliases, "recovery_codes": recovery_codes, "failed": failed,
            "sealed": !arguments.plain,
        })
        .to_string()
    } else if arguments.plain {
        format!("{of_factors} exported in clear; {of_aliases} and {of_codes} left out")
    } else {
        format!("{of_factors}, {of_aliases} and {of_codes} exported, sealed")
    };
    if is_in_file {
        println!("{text}");
    } else {
        eprintln!("{text}");
    }
}
