//! `api-token`: a token for a client of the administration API.

use clap::Args;

use super::CliError;
use crate::api::{AccessToken, Right, TOKEN_NAME_RULE, is_token_name};

/// Whose.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tfa-gateway api-token help-desk\n  tfa-gateway api-token monitoring --read-only\n\nNothing is written: paste the lines into gateway.toml. A gateway that runs takes them over by itself."
)]
pub(super) struct Arguments {
    /// Who is to have it, as the audit trail shows it: letters, digits, '-', '_' and '.'
    name: String,
    /// It may see, and change nothing
    #[arg(long)]
    read_only: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), CliError> {
    let name = &arguments.name;
    if !is_token_name(name) {
        return Err(CliError::Unsuitable(format!("the name {TOKEN_NAME_RULE}")));
    }
    let (token, digest) =
        AccessToken::random().map_err(|error| CliError::Failed("no token was made".into(), error.into()))?;
    let rights: &[Right] = if arguments.read_only { &[Right::Read] } else { &[Right::Read, Right::Write] };
    let may: Vec<&str> = rights.iter().map(|right| right.as_str()).collect();
    let may = serde_json::Value::from(may);
    if arguments.json {
        let made =
            serde_json::json!({ "name": name, "token": *token, "sha256": digest.to_hex(), "may": may });
        println!("{made}");
        return Ok(());
    }
    println!("{}\n", *token);
    println!("This is shown once. For gateway.toml, where only its digest is known:\n");
    // A list of texts without escapes is the same in JSON and in TOML.
    println!("[[admin.tokens]]\nname = \"{name}\"\nsha256 = \"{}\"\nmay = {may}", digest.to_hex());
    Ok(())
}
