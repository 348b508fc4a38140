//! `alias`: other names by which the upstream lets a person log in.

use clap::Args;

use super::{CliError, administer, subject::resolve};
use crate::{admin::LeadsTo, config::Settings};

/// Which name, and whose.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tfa-gateway alias alice@example.org alice\n  tfa-gateway alias --remove alice@example.org\n\nA subject that has no factor is refused, for it may be mistyped: whoever logs in by the alias would need no code."
)]
pub(super) struct Arguments {
    /// The other name, such as an e-mail address; spellings are folded as user names are
    alias: String,
    /// The subject that logs in by it
    #[arg(required_unless_present = "remove", conflicts_with = "remove")]
    subject: Option<String>,
    /// The subject has no factor yet, and that is meant: until it has one, the password alone is enough
    #[arg(long, conflicts_with = "remove")]
    not_enrolled: bool,
    /// Forget the alias
    #[arg(long)]
    remove: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(settings: &Settings, arguments: &Arguments) -> Result<(), CliError> {
    let alias = resolve(&arguments.alias)?;
    let otherwise = "alias failed (`tfa-gateway status` says how things are)";
    let Some(subject) = &arguments.subject else {
        let removed = administer(settings, otherwise, async |admin| admin.remove_alias(&alias).await)?;
        if arguments.json {
            println!("{}", serde_json::json!({ "alias": alias.as_str(), "removed": removed }));
        } else {
            println!("{alias} {}", if removed { "is no alias any more" } else { "was no alias" });
        }
        return Ok(());
    };
    let subject = resolve(subject)?;
    let leads_to = if arguments.not_enrolled { LeadsTo::Anybody } else { LeadsTo::Enrolled };
    administer(settings, otherwise, async |admin| admin.add_alias(&alias, &subject, leads_to).await)?;
    if arguments.json {
        println!("{}", serde_json::json!({ "alias": alias.as_str(), "subject": subject.as_str() }));
    } else {
        println!("{alias} is now another name of {subject}");
    }
    Ok(())
}
