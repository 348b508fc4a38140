//! `import`: factors from another system, row by row.
//!
//! Invariants: what was imported stays imported, whenever the command ends; a bad row stops no other one, and makes the
//! exit code 1.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufReader, Read as _},
    path::{Path, PathBuf},
    thread::JoinHandle,
};

use clap::{Args, ValueEnum};
use futures_util::{Stream, StreamExt as _, stream::poll_fn};
use zeroize::Zeroizing;

use super::{CliError, administer, counted, progress::Progress};
use crate::{
    admin::{
        BadRow, DoneRow, ImportSummary, Rehearsal, RowOutcome,
        import::{DrupalFiles, DrupalKey, Format, Row, Rows, Source, rows},
    },
    config::Settings,
    identity::fold_username,
    store::key_file,
    types::{SubjectId, limits::IMPORTS_AT_ONCE},
};

/// Bytes of a key that a site may have in a file.
const KEY_BYTES_MAX: u64 = 4096;

/// Characters that are shown of a name.
const NAME_CHARACTERS_MAX: usize = 64;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatName {
    /// Drupal 7, modules tfa and `tfa_basic`: an SQL dump, or CSV of its tables
    Drupal,
    /// `authelia storage user totp export`: YAML or CSV
    Authelia,
    /// `pi-tokenjanitor find … export --format yaml` of privacyIDEA, or csv
    Privacyidea,
    /// otpauth:// URIs, one a line, each after a subject and a tab, if that is not its account
    Otpauth,
    /// otpauth-migration:// URIs of Google Authenticator, one a line
    Google,
    /// CSV with a header line: subject, secret, and any of algorithm, digits, period, label, `recovery_codes` and
    /// `enrolled_at`
    Csv,
    /// What `tfa-gateway export` wrote, with the same key file
    Sealed,
}

/// What to import.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tfa-gateway import --format csv --dry-run people.csv\n  tfa-gateway import --format drupal --key-file drupal.key site.sql\n  tfa-gateway import --format sealed factors.sealed\n\nIt may be stopped at any time and run again: what is done stays done, and is not done twice. docs/moving-in.md says\nhow each system exports."
)]
pub(super) struct Arguments {
    /// What the file is
    #[arg(long, value_enum)]
    format: FormatName,
    /// The file, or '-' for standard input
    file: PathBuf,
    /// Say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// drupal: a file with the site's `tfa_basic_secret_key`, or else its `drupal_private_key`
    #[arg(long, value_name = "FILE", required_if_eq("format", "drupal"))]
    key_file: Option<PathBuf>,
    /// drupal: CSV of the table users (`uid,name`), if the dump does not have it
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// drupal: CSV of the table `tfa_recovery_code` (`uid,code,used`)
    #[arg(long, value_name = "FILE")]
    recovery_codes: Option<PathBuf>,
    /// drupal: CSV of the table `tfa_accepted_code` (`uid,time_accepted`)
    #[arg(long, value_name = "FILE")]
    accepted_codes: Option<PathBuf>,
    /// drupal: what the names of the tables begin with
    #[arg(long, value_name = "TEXT", default_value = "")]
    table_prefix: String,
    /// Print one JSON object for each bad row, and one that sums up
    #[arg(long)]
    json: bool,
}

pub(super) fn run(settings: &Settings, arguments: &Arguments) -> Result<(), CliError> {
    let of_drupal =
        [&arguments.key_file, &arguments.users, &arguments.recovery_codes, &arguments.accepted_codes];
    if arguments.format != FormatName::Drupal
        && (of_drupal.iter().any(|file| file.is_some()) || !arguments.table_prefix.is_empty())
    {
        let rule = "--key-file, --users, --recovery-codes, --accepted-codes and --table-prefix belong to --format drupal";
        return Err(CliError::Unsuitable(rule.into()));
    }
    let (source, progress) = open_counted(&arguments.file)?;
    let rows = rows(format(settings, arguments)?, source, settings.totp.skew_steps());
    let rehearsal = if arguments.dry_run { Rehearsal::Yes } else { Rehearsal::No };
    let stopped = Cell::new(false);
    let otherwise =
        "the import was not finished; what was imported stays so, and a further run does the rest";
    let (summary, reader) = administer(settings, otherwise, async |admin| {
        let (stream, reader) = read(rows);
        let ctrl_c = async {
            // Without a handler the signal ends the process at once, which does no harm either.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            stopped.set(true);
        };
        let mut count = 0;
        let told = |outcome: &RowOutcome| {
            count += 1;
            progress.at(count);
            match outcome {
                RowOutcome::Bad(bad) => say(bad, &progress, arguments.json),
                // Under which names people would be found is what there is to check.
                RowOutcome::Imported(row) if arguments.dry_run => {
                    progress.print(&would(row, "import", arguments.json));
                }
                RowOutcome::AlreadyThere(row) if arguments.dry_run => {
                    progress.print(&would(row, "leave", arguments.json));
                }
                RowOutcome::Imported(_) | RowOutcome::AlreadyThere(_) => {}
            }
        };
        let summary = admin.import(stream.take_until(ctrl_c), rehearsal, told).await?;
        Ok((summary, reader))
    })?;
    drop(progress);
    sum_up(&summary, arguments, stopped.get());
    if stopped.get() {
        return Err(CliError::Said("stopped; a further run does the rest".into()));
    }
    if reader.join().is_err() {
        return Err(CliError::Said("the file was not read to its end, for a fault of this program".into()));
    }
    if summary.bad > 0 {
        let are = if summary.bad == 1 { "is" } else { "are" };
        let rows = counted(summary.bad, "row");
        let others = if summary.imported + summary.already_there > 0 {
            "; all others that could be read were seen to"
        } else {
            ", and nothing was imported"
        };
        return Err(CliError::Said(format!("{rows} {are} bad{others}")));
    }
    Ok(())
}

fn format(settings: &Settings, arguments: &Arguments) -> Result<Format, CliError> {
    Ok(match arguments.format {
        FormatName::Drupal => {
            let path = arguments.key_file.as_deref().unwrap_or_else(|| Path::new("-"));
            Format::Drupal(DrupalFiles {
                key: key(path)?,
                users: arguments.users.as_deref().map(open).transpose()?,
                recovery_codes: arguments.recovery_codes.as_deref().map(open).transpose()?,
                accepted_codes: arguments.accepted_codes.as_deref().map(open).transpose()?,
                table_prefix: arguments.table_prefix.clone(),
            })
        }
        FormatName::Authelia => Format::Authelia,
        FormatName::Privacyidea => Format::Privacyidea,
        FormatName::Otpauth => Format::Otpauth,
        FormatName::Google => Format::Google,
        FormatName::Csv => Format::Csv,
        FormatName::Sealed => {
            let ring = key_file::load(&settings.key_file)
                .map_err(|error| CliError::Failed("nothing was imported".into(), error.into()))?;
            Format::Sealed(Box::new(ring))
        }
    })
}

fn key(path: &Path) -> Result<DrupalKey, CliError> {
    let mut text = Zeroizing::new(Vec::new());
    open(path)?.take(KEY_BYTES_MAX).read_to_end(&mut text).map_err(|error| unreadable(path, error))?;
    DrupalKey::parse(&text)
        .ok_or_else(|| CliError::Said(format!("{} must hold a key, and is empty", path.display())))
}

fn open(path: &Path) -> Result<Source, CliError> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    Ok(Box::new(BufReader::new(file)))
}

/// Opens what is worked off row by row.
fn open_counted(path: &Path) -> Result<(Source, Progress), CliError> {
    if path == Path::new("-") {
        return Ok((open(path)?, Progress::start("rows")));
    }
    let counted = File::open(path).and_then(|file| Ok((Progress::of_file("rows", &file)?, file)));
    let (progress, file) = counted.map_err(|error| unreadable(path, error))?;
    Ok((Box::new(BufReader::new(progress.reading(file))), progress))
}

fn unreadable(path: &Path, error: io::Error) -> CliError {
    CliError::Failed(format!("{} cannot be read", path.display()), error.into())
}

/// Reads on a thread of its own, a bounded number of rows ahead: a slow file must not hold up the store, nor ctrl-c.
fn read(rows: Rows) -> (impl Stream<Item = Row>, JoinHandle<()>) {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(IMPORTS_AT_ONCE);
    let reader = std::thread::spawn(move || {
        for row in rows {
            if sender.blocking_send(row).is_err() {
                break;
            }
        }
    });
    (poll_fn(move |context| receiver.poll_recv(context)), reader)
}

/// What would be done with a row, and under which name.
fn would(row: &DoneRow, action: &str, json: bool) -> String {
    let DoneRow { line, name } = row;
    let folded = fold_username(name).ok();
    let subject = folded.as_ref().map(SubjectId::as_str);
    if json {
        return serde_json::json!({ "line": line, "name": name, "subject": subject, "would": action })
            .to_string();
    }
    let what = if action == "import" { "would be imported" } else { "is there already" };
    let kept = subject.filter(|subject| *subject != name).map(|subject| format!(", as {subject}"));
    format!("line {line}: {} {what}{}", name.escape_debug(), kept.unwrap_or_default())
}

fn say(bad: &BadRow, progress: &Progress, json: bool) {
    let BadRow { line, subject, reason } = bad;
    // What is taken for a name may be anything.
    let subject =
        subject.as_ref().map(|subject| subject.chars().take(NAME_CHARACTERS_MAX).collect::<String>());
    if json {
        let problem = serde_json::json!({ "line": line, "subject": subject, "problem": reason });
        return progress.print(&problem.to_string());
    }
    // A name from a file may hold anything, control characters of terminals too.
    let of = subject.as_ref().map(|subject| format!(" ({})", subject.escape_debug())).unwrap_or_default();
    progress.say(&format!("line {line}{of}: {reason}"));
}

fn sum_up(summary: &ImportSummary, arguments: &Arguments, stopped: bool) {
    let ImportSummary { imported, already_there, bad, short_secrets } = summary;
    if arguments.json {
        let (done, would_be) = if arguments.dry_run { (0, *imported) } else { (*imported, 0) };
        let summary = serde_json::json!({
            "imported": done, "would_be_imported": would_be, "already_there": already_there, "bad": bad,
            "short_secrets": short_secrets, "stopped": stopped,
        });
        println!("{summary}");
        return;
    }
    if arguments.dry_run {
        println!(
            "{imported} would be imported, {already_there} are there already, {bad} bad; nothing was changed"
        );
    } else {
        println!("{imported} imported, {already_there} were there already, {bad} bad");
    }
    if *short_secrets > 0 {
        println!(
            "{short_secrets} of the secrets are shorter than the 128 bits that RFC 4226 asks for; they work, and those \
             that `tfa-gateway enrol` makes are longer"
        );
    }
}
