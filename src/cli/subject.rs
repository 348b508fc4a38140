//! `enrol`, `status`, `disable` and `unlock`: what an operator does for one person.

use std::io::Read as _;

use clap::Args;
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};

use super::CliError;
use crate::{
    admin::{self, NewEnrolment, StatusReport},
    app,
    config::Settings,
    factor::totp::decode_base32,
    identity::fold_username,
    step_up::Clock as _,
    telemetry::SystemClock,
    types::SubjectId,
};

/// The person it is about.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The user name; spellings that the upstream may take for one user are one subject
    subject: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Whom to enrol, and with what.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tfa-gateway enrol alice\n  tfa-gateway enrol alice --secret - < secret.txt"
)]
pub(super) struct EnrolArguments {
    /// The user name; a subject may have several factors, and any of them is enough
    subject: String,
    /// A base32 secret to take over instead of making one, or '-' to read it from standard input,
    /// where no other user of this machine sees it
    #[arg(long, value_name = "BASE32")]
    secret: Option<String>,
    /// A name for the factor, such as "phone"
    #[arg(long)]
    label: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn enrol(settings: &Settings, arguments: &EnrolArguments) -> Result<(), CliError> {
    let subject = resolve(&arguments.subject)?;
    let secret = match arguments.secret.as_deref() {
        None => None,
        Some("-") => {
            let mut typed = zeroize::Zeroizing::new(String::new());
            std::io::stdin()
                .take(4096)
                .read_to_string(&mut typed)
                .map_err(|error| CliError::Failed("standard input cannot be read".into(), error.into()))?;
            Some(decode(&typed)?)
        }
        Some(typed) => Some(decode(typed)?),
    };
    let new = NewEnrolment {
        secret,
        parameters: settings.totp,
        label: arguments.label.clone(),
        issuer: settings.issuer.clone(),
        account: arguments.subject.clone(),
    };
    let enrolled =
        on_store(settings, "enrol failed (`tfa-gateway status` says how things are)", async |store| {
            admin::enrol(store, &subject, new, SystemClock.now()).await
        })?;
    if arguments.json {
        println!("{}", enrolled.to_json(&subject));
        return Ok(());
    }
    println!("{}\n", draw(&enrolled.otpauth_uri)?);
    println!("subject   {}", named(&arguments.subject, &subject));
    println!("factor    {}", enrolled.factor_id);
    println!("secret    {}", *enrolled.secret_base32);
    println!("uri       {}", *enrolled.otpauth_uri);
    println!(
        "\nThis is shown once. {} now has {} of at most {} factors.",
        subject,
        enrolled.factors,
        crate::types::limits::FACTORS_MAX
    );
    Ok(())
}

pub(super) fn status(settings: &Settings, arguments: &Arguments) -> Result<(), CliError> {
    let subject = resolve(&arguments.subject)?;
    let now = SystemClock.now();
    let report: StatusReport = on_store(settings, "the subject's status is not known", async |store| {
        admin::status(store, &subject, now).await
    })?;
    if arguments.json {
        println!("{}", report.to_json());
    } else {
        println!("{}", named(&arguments.subject, &subject));
        print!("{report}");
    }
    Ok(())
}

pub(super) fn disable(settings: &Settings, arguments: &Arguments) -> Result<(), CliError> {
    let subject = resolve(&arguments.subject)?;
    let removed =
        on_store(settings, "disable failed (`tfa-gateway status` says how things are)", async |store| {
            admin::disable(store, &subject).await
        })?;
    if arguments.json {
        println!("{}", serde_json::json!({ "subject": subject.as_str(), "factors_removed": removed }));
    } else if removed == 0 {
        println!("{subject} was not enrolled");
    } else {
        println!("{subject}: {removed} factor(s) removed; the password alone is enough from now on");
    }
    Ok(())
}

pub(super) fn unlock(settings: &Settings, arguments: &Arguments) -> Result<(), CliError> {
    let subject = resolve(&arguments.subject)?;
    let unlocked =
        on_store(settings, "unlock failed (`tfa-gateway status` says how things are)", async |store| {
            admin::unlock(store, &subject).await
        })?;
    if arguments.json {
        println!("{}", serde_json::json!({ "subject": subject.as_str(), "unlocked": unlocked }));
    } else if unlocked {
        println!("{subject}: failures forgotten, lock lifted");
    } else {
        println!("{subject} had no failures and no lock");
    }
    Ok(())
}

/// The subject, with what was typed if that is another text: `mary` and `Marü` are the subject `maru`.
fn named(typed: &str, subject: &SubjectId) -> String {
    if typed == subject.as_str() { typed.to_owned() } else { format!("{subject}, which is {typed:?} folded") }
}

/// Draws a QR code for a terminal, light on dark: a scanner sees dark modules on a light ground.
pub(super) fn draw(uri: &str) -> Result<String, CliError> {
    let code = QrCode::with_error_correction_level(uri.as_bytes(), EcLevel::L)
        .map_err(|error| CliError::Failed("the QR code cannot be drawn".into(), error.into()))?;
    Ok(code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

pub(super) fn resolve(typed: &str) -> Result<SubjectId, CliError> {
    fold_username(typed).map_err(|fault| CliError::Said(format!("the subject {fault}")))
}

fn decode(typed: &str) -> Result<crate::types::Secret<Vec<u8>>, CliError> {
    decode_base32(typed).ok_or_else(|| {
        CliError::Said("--secret must be base32 (letters A to Z and digits 2 to 7), and it is not".into())
    })
}

/// Opens the configured store, on a runtime of its own, for one piece of work; `otherwise` says what it
/// means that it failed.
pub(super) fn on_store<T>(
    settings: &Settings,
    otherwise: &str,
    work: impl AsyncFnOnce(&crate::store::Store) -> Result<T, crate::step_up::StoreError>,
) -> Result<T, CliError> {
    app::with_store(settings, work).map_err(|error| CliError::Failed(otherwise.into(), error.into()))
}
