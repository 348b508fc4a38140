//! `completions`: what a shell needs to complete our arguments.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

/// For which shell.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  tfa-gateway completions bash > /usr/share/bash-completion/completions/tfa-gateway"
)]
pub(super) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) {
    let mut command = super::Cli::command();
    clap_complete::generate(arguments.shell, &mut command, "tfa-gateway", &mut std::io::stdout());
}
