//! `tfa-gateway serve`

use std::{io::Write as _, path::PathBuf};

use super::CliError;
use crate::{
    app,
    config::{self, Settings},
    telemetry::{self, AuditTarget},
};

pub(super) fn run(settings: Settings, file: Option<PathBuf>) -> Result<(), CliError> {
    let _log = telemetry::init(settings.log);
    // Whoever reads audit events there must not meet other lines.
    let is_taken = settings.audit == AuditTarget::Stdout;
    let reread = Box::new(move || config::load(file.as_deref()));
    app::serve(settings, Some(reread), |addresses| {
        // For whoever started us on port 0: these two lines, once we listen, on standard output if that is free.
        let mut out: Box<dyn std::io::Write> =
            if is_taken { Box::new(std::io::stderr().lock()) } else { Box::new(std::io::stdout().lock()) };
        // A closed standard output is no reason not to serve.
        let _ = writeln!(out, "listening on {}\nadmin on {}", addresses.gateway, addresses.admin);
        let _ = out.flush();
    })
    .map_err(|error| CliError::Failed("cannot serve".into(), error.into()))
}
