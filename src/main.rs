//! The `tfa-gateway` binary: arguments in, exit code out.

fn main() -> std::process::ExitCode {
    tfa_gateway::cli::run()
}
