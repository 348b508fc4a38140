//! `list` and `audit`: what there is, and what was changed.

use std::io::{self, Write};

use clap::Args;

use super::{CliError, administer, counted, goes_on, subject::resolve};
use crate::{
    admin::{AdminError, event_json, name_json},
    config::Settings,
    step_up::{ListQuery, TrailQuery},
    types::limits::LIST_PAGE_MAX,
};

/// Which names.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tfa-gateway list\n  tfa-gateway list --search @example.org --json | jq -r .subject"
)]
pub(super) struct ListArguments {
    /// Only names that hold this text, in any spelling
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Which changes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tfa-gateway audit\n  tfa-gateway audit --subject alice --limit 10 --json"
)]
pub(super) struct AuditArguments {
    /// Only changes of this subject
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// At most so many, the latest first
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn list(settings: &Settings, arguments: &ListArguments) -> Result<(), CliError> {
    let mut query = ListQuery { containing: arguments.search.clone(), cursor: None, limit: LIST_PAGE_MAX };
    administer(settings, "not all names could be listed", async |admin| {
        let mut out = io::stdout().lock();
        loop {
            let page = admin.list(&query).await?;
            let written = page.names.iter().try_for_each(|listed| {
                if arguments.json {
                    return writeln!(out, "{}", name_json(listed));
                }
                let name = &listed.summary;
                match &name.alias_of {
                    Some(subject) if listed.is_enrolled => writeln!(out, "{}\talias of {subject}", name.name),
                    Some(subject) => {
                        writeln!(out, "{}\talias of {subject}, which is not enrolled", name.name)
                    }
                    None => writeln!(
                        out,
                        "{}\t{}, {} waiting, {}",
                        name.name,
                        counted(name.factors, "factor"),
                        name.pending,
                        counted(name.recovery_codes, "recovery code")
                    ),
                }
            });
            query.cursor = page.next;
            match written {
                Ok(()) if query.cursor.is_some() => {}
                Ok(()) => return Ok(()),
                // Whoever reads may have read enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(AdminError::File(error)),
            }
        }
    })
}

pub(super) fn audit(settings: &Settings, arguments: &AuditArguments) -> Result<(), CliError> {
    let subject = arguments.subject.as_deref().map(resolve).transpose()?;
    let query = TrailQuery { subject, before: None, limit: arguments.limit };
    let page =
        administer(settings, "the audit trail cannot be read", async |admin| admin.trail(&query).await)?;
    let mut out = io::stdout().lock();
    for event in &page.events {
        let written = if arguments.json {
            writeln!(out, "{}", event_json(event))
        } else {
            let subject = event.subject.as_ref().map_or("-", |subject| subject.as_str());
            let object = event.object.as_deref().unwrap_or_default();
            writeln!(
                out,
                "{}\t{}\t{}\t{subject}\t{object}",
                event.at.to_timestamp(),
                event.actor,
                event.change.as_str()
            )
        };
        if !goes_on(written)? {
            break;
        }
    }
    Ok(())
}
