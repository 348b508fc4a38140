//! `completions`: what a shell needs to complete our arguments.

use std::io::{self, Write as _};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{CliError, goes_on};

/// For which shell.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  tfa-gateway completions bash > /usr/share/bash-completion/completions/tfa-gateway"
)]
pub(super) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), CliError> {
    let mut command = super::Cli::command();
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "tfa-gateway", &mut script);
    goes_on(io::stdout().write_all(&script)).map(drop)
}
