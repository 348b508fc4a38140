//! `tfa-gateway serve`

use std::io::Write as _;

use super::CliError;
use crate::{app, config::Settings, telemetry};

pub(super) fn run(settings: Settings) -> Result<(), CliError> {
    let _log = telemetry::init(settings.log);
    app::serve(settings, |addresses| {
        // For whoever started us on port 0: these two lines, on standard output, once we listen.
        let mut out = std::io::stdout().lock();
        // A closed standard output is no reason not to serve.
        let _ = writeln!(out, "listening on {}\nadmin on {}", addresses.gateway, addresses.admin);
        let _ = out.flush();
    })
    .map_err(|error| CliError::Failed("cannot serve".into(), error.into()))
}
