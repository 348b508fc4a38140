//! `devices`: the clients that are remembered for a subject.

use std::io::{self, Write as _};

use clap::Args;
use serde_json::json;

use super::{CliError, administer, goes_on, subject};
use crate::{admin::device_json, config::Settings};

/// Whose devices.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tfa-gateway devices alice\n  tfa-gateway devices alice --forget 4f2c9a7e01d3b586\n  tfa-gateway devices alice --forget-all"
)]
pub(super) struct Arguments {
    /// The user name
    subject: String,
    /// Forget this device
    #[arg(long, value_name = "DEVICE", conflicts_with = "forget_all")]
    forget: Option<String>,
    /// Forget all of them
    #[arg(long)]
    forget_all: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(settings: &Settings, arguments: &Arguments) -> Result<(), CliError> {
    let subject = subject::resolve(&arguments.subject)?;
    if arguments.forget_all || arguments.forget.is_some() {
        let id = arguments.forget.as_deref().map(subject::factor_id).transpose()?;
        let otherwise = "no device was forgotten";
        let forgotten =
            administer(settings, otherwise, async |admin| admin.forget_devices(&subject, id.as_ref()).await)?;
        if forgotten == 0 && id.is_some() {
            return Err(CliError::Said(format!(
                "{subject} has no device of that name; without --forget they are listed"
            )));
        }
        if arguments.json {
            println!("{}", json!({ "subject": subject.as_str(), "devices_forgotten": forgotten }));
        } else {
            println!("{subject}: {forgotten} device(s) forgotten; a code is asked for there again");
        }
        return Ok(());
    }
    let otherwise = "the devices are not known";
    let devices = administer(settings, otherwise, async |admin| admin.devices(&subject).await)?;
    let mut out = io::stdout().lock();
    for stored in &devices {
        let device = &stored.device;
        let written = if arguments.json {
            writeln!(out, "{}", device_json(stored))
        } else {
            let label = device.label.as_deref().unwrap_or("-");
            let (used, forget) = (device.used_at.to_timestamp(), device.forget_at.to_timestamp());
            writeln!(out, "{}\t{}\t{label}\tused {used}\tuntil {forget}", stored.id, device.client_id)
        };
        if !goes_on(written)? {
            break;
        }
    }
    Ok(())
}
