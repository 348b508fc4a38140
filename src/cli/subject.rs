//! `enrol`, `confirm`, `status`, `remove`, `disable`, `unlock` and `recovery-codes`: what an operator does for one
//! person.

use std::io::Read as _;

use clap::Args;
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};

use super::{CliError, administer};
use crate::{
    admin::NewEnrolment,
    config::Settings,
    factor::{Passcode, totp::decode_base32},
    identity::fold_username,
    step_up::{Beside, FactorStatus},
    types::{FactorId, Secret, SubjectId, limits::FACTORS_MAX},
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
    after_help = "Examples:\n  tfa-gateway enrol alice\n  tfa-gateway enrol alice --pending          then: tfa-gateway confirm alice FACTOR CODE\n  tfa-gateway enrol alice --secret - < secret.txt"
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
    /// Wait for `confirm` before the factor counts; for an hour
    #[arg(long)]
    pending: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What to confirm.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tfa-gateway confirm alice 4f2c9a7e01d3b586 123456")]
pub(super) struct ConfirmArguments {
    /// The user name
    subject: String,
    /// The factor that waits, as `enrol --pending` and `status` show it
    factor: String,
    /// The code that the authenticator app shows now
    code: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What to remove.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tfa-gateway remove alice 4f2c9a7e01d3b586")]
pub(super) struct RemoveArguments {
    /// The user name
    subject: String,
    /// The factor, as `status` shows it
    factor: String,
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
    let otherwise = "enrol failed (`tfa-gateway status` says how things are)";
    let enrolled = administer(settings, otherwise, async |admin| {
        if arguments.pending { admin.propose(&subject, new).await } else { admin.enrol(&subject, new).await }
    })?;
    if arguments.json {
        println!("{}", enrolled.to_json(&subject));
        return recorded(enrolled.is_recorded);
    }
    println!("{}\n", draw(&enrolled.otpauth_uri)?);
    println!("subject   {}", named(&arguments.subject, &subject));
    println!("factor    {}", enrolled.factor_id);
    println!("secret    {}", *enrolled.secret_base32);
    println!("uri       {}", *enrolled.otpauth_uri);
    match enrolled.factors {
        Some(factors) => println!(
            "\nThis is shown once. {subject} now has {factors} of at most {FACTORS_MAX} factors. For recovery codes: \
             `tfa-gateway recovery-codes {subject}`"
        ),
        None => println!(
            "\nThis is shown once. The factor counts after `tfa-gateway confirm {subject} {} CODE`, within the hour.",
            enrolled.factor_id
        ),
    }
    recorded(enrolled.is_recorded)
}

/// What was made is shown in any case: it counts by now, and exists nowhere else.
fn recorded(is_recorded: bool) -> Result<(), CliError> {
    if is_recorded {
        return Ok(());
    }
    Err(CliError::Said("it was done, as shown, but it could not be recorded in the audit trail".into()))
}

pub(super) fn confirm(settings: &Settings, arguments: &ConfirmArguments) -> Result<(), CliError> {
    let (subject, factor) = (resolve(&arguments.subject)?, factor_id(&arguments.factor)?);
    let passcode = Passcode::from_bytes(arguments.code.as_bytes());
    let otherwise = "confirm failed (`tfa-gateway status` says how things are)";
    let factors = administer(settings, otherwise, async |admin| {
        let report = admin.status(&subject).await?;
        let counts = |known: &FactorStatus| known.id == factor.as_str() && !known.is_pending;
        if report.status().factors.iter().any(counts) {
            return Ok(None);
        }
        admin.confirm(&subject, &factor, &passcode, Beside::Any).await.map(Some)
    })?;
    let Some(factors) = factors else {
        return Err(CliError::Said(format!(
            "{subject}: {factor} counts already; there is nothing to confirm"
        )));
    };
    if arguments.json {
        let confirmed = serde_json::json!({
            "subject": subject.as_str(), "factor_id": factor.as_str(), "factors": factors,
        });
        println!("{confirmed}");
    } else {
        println!("{subject}: {factor} counts from now on; {factors} of at most {FACTORS_MAX} factors");
    }
    Ok(())
}

pub(super) fn remove(settings: &Settings, arguments: &RemoveArguments) -> Result<(), CliError> {
    let (subject, factor) = (resolve(&arguments.subject)?, factor_id(&arguments.factor)?);
    let otherwise = "remove failed (`tfa-gateway status` says how things are)";
    let left = administer(settings, otherwise, async |admin| admin.remove_factor(&subject, &factor).await)?;
    if arguments.json {
        let removed = serde_json::json!({
            "subject": subject.as_str(), "factor_id": factor.as_str(), "factors": left,
        });
        println!("{removed}");
    } else if left == 0 {
        println!("{subject}: {factor} removed, which was the last; the password alone is enough from now on");
    } else {
        println!("{subject}: {factor} removed, {left} left");
    }
    Ok(())
}

pub(super) fn status(settings: &Settings, arguments: &Arguments) -> Result<(), CliError> {
    let subject = resolve(&arguments.subject)?;
    let otherwise = "the subject's status is not known";
    let report = administer(settings, otherwise, async |admin| admin.status(&subject).await)?;
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
    let otherwise = "disable failed (`tfa-gateway status` says how things are)";
    let removed = administer(settings, otherwise, async |admin| admin.disable(&subject).await)?;
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
    let otherwise = "unlock failed (`tfa-gateway status` says how things are)";
    let unlocked = administer(settings, otherwise, async |admin| admin.unlock(&subject).await)?;
    if arguments.json {
        println!("{}", serde_json::json!({ "subject": subject.as_str(), "unlocked": unlocked }));
    } else if unlocked {
        println!("{subject}: failures forgotten, lock lifted");
    } else {
        println!("{subject} had no failures and no lock");
    }
    Ok(())
}

pub(super) fn recovery_codes(settings: &Settings, arguments: &Arguments) -> Result<(), CliError> {
    let subject = resolve(&arguments.subject)?;
    let otherwise = "no recovery codes were made";
    let codes = administer(settings, otherwise, async |admin| admin.new_recovery_codes(&subject).await)?;
    if arguments.json {
        println!("{}", codes.to_json(&subject));
        return recorded(codes.is_recorded);
    }
    for code in codes.texts() {
        println!("{code}");
    }
    println!(
        "\nThese are shown once, and each works once, in the place of a code. Earlier ones work no more."
    );
    recorded(codes.is_recorded)
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
    fold_username(typed).map_err(|fault| CliError::Unsuitable(format!("the subject {fault}")))
}

pub(super) fn factor_id(typed: &str) -> Result<FactorId, CliError> {
    FactorId::parse(typed).map_err(|fault| CliError::Unsuitable(fault.to_string()))
}

fn decode(typed: &str) -> Result<Secret<Vec<u8>>, CliError> {
    decode_base32(typed).ok_or_else(|| {
        CliError::Unsuitable(
            "--secret must be base32 (letters A to Z and digits 2 to 7), and it is not".into(),
        )
    })
}
