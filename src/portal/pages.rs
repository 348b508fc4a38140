//! The pages, as what their templates are filled with.

use askama::Template;
use qrcode::{EcLevel, QrCode, render::svg};

use super::{Portal, Texts, request::Visit};
use crate::{
    admin::Enrolled,
    step_up::{Session, StoredDevice, SubjectStatus},
    types::UnixTime,
};

/// What every page shows.
pub(super) struct Page<'a> {
    pub(super) t: &'a Texts,
    pub(super) base: &'a str,
    pub(super) site_name: &'a str,
    pub(super) has_logo: bool,
    pub(super) who: Option<Who<'a>>,
    /// What is wrong.
    pub(super) problem: Option<String>,
    /// What was done.
    pub(super) done: Option<&'a str>,
}

/// Who has signed in.
pub(super) struct Who<'a> {
    pub(super) subject: &'a str,
    pub(super) form_token: &'a str,
}

impl<'a> Page<'a> {
    pub(super) fn of(portal: &'a Portal, session: Option<&'a Session>) -> Self {
        let settings = &portal.settings;
        let who = session.map(|session| Who {
            subject: session.subject.as_str(),
            form_token: session.form_token.expose(),
        });
        Self {
            t: &settings.texts,
            base: settings.url.path(),
            site_name: &settings.site_name,
            has_logo: settings.logo.is_some(),
            who,
            problem: None,
            done: None,
        }
    }

    pub(super) fn with_problem(self, problem: impl Into<String>) -> Self {
        Self { problem: Some(problem.into()), ..self }
    }

    /// Says what was done, as the redirect told.
    pub(super) fn after(self, visit: &Visit) -> Self {
        let done = match visit.done.as_deref() {
            Some("confirmed") => Some(self.t.done_confirmed.as_str()),
            Some("removed") => Some(self.t.done_removed.as_str()),
            Some("renamed") => Some(self.t.done_renamed.as_str()),
            Some("forgotten") => Some(self.t.done_forgotten.as_str()),
            Some("signed-out") => Some(self.t.done_signed_out.as_str()),
            _ => None,
        };
        Self { done, ..self }
    }
}

#[derive(Template)]
#[template(path = "sign_in.html")]
pub(super) struct SignInPage<'a> {
    pub(super) page: Page<'a>,
    pub(super) user_name: &'a str,
    pub(super) wants_code: bool,
}

#[derive(Template)]
#[template(path = "overview.html")]
pub(super) struct OverviewPage<'a> {
    pub(super) page: Page<'a>,
    pub(super) form_token: &'a str,
    pub(super) is_on: bool,
    pub(super) factors: Vec<FactorLine>,
    pub(super) devices: Vec<DeviceLine>,
    pub(super) has_recovery_codes: bool,
    /// Whether recovery codes are made without another code.
    pub(super) is_fresh: bool,
    pub(super) recovery_left: String,
}

/// One remembered device of the overview.
pub(super) struct DeviceLine {
    id: String,
    label: String,
    client_id: String,
    used: String,
    forget_label: String,
}

impl DeviceLine {
    fn of(t: &Texts, stored: &StoredDevice) -> Self {
        let device = &stored.device;
        let label = device.label.clone().unwrap_or_else(|| device.client_id.clone());
        Self {
            id: stored.id.to_string(),
            client_id: device.client_id.clone(),
            used: day(device.used_at),
            forget_label: t.forget_label.replace("{label}", &label),
            label,
        }
    }
}

/// One factor of the overview.
pub(super) struct FactorLine {
    id: String,
    label: String,
    is_pending: bool,
    since: Option<String>,
    rename_label: String,
    remove_label: String,
}

impl<'a> OverviewPage<'a> {
    pub(super) fn of(
        page: Page<'a>,
        form_token: &'a str,
        is_fresh: bool,
        status: &SubjectStatus,
        devices: &[StoredDevice],
    ) -> Self {
        let t = page.t;
        let lines = status.factors.iter().map(|factor| {
            let label = factor.label.clone().unwrap_or_else(|| t.unnamed.clone());
            FactorLine {
                id: factor.id.clone(),
                is_pending: factor.is_pending,
                since: factor.enrolled_at.map(day),
                rename_label: t.rename_label.replace("{label}", &label),
                remove_label: t.remove_label.replace("{label}", &label),
                label,
            }
        });
        let factors: Vec<FactorLine> = lines.collect();
        Self {
            form_token,
            is_fresh,
            is_on: factors.iter().any(|factor| !factor.is_pending),
            devices: devices.iter().map(|stored| DeviceLine::of(t, stored)).collect(),
            has_recovery_codes: status.recovery_codes > 0,
            recovery_left: t.recovery_left.replace("{count}", &status.recovery_codes.to_string()),
            factors,
            page,
        }
    }
}

#[derive(Template)]
#[template(path = "set_up.html")]
pub(super) struct SetUpPage<'a> {
    pub(super) page: Page<'a>,
    pub(super) form_token: &'a str,
    pub(super) id: &'a str,
    /// What the app is given, where it may be shown.
    pub(super) key: Option<Key>,
}

/// A secret, as a picture and as a text.
pub(super) struct Key {
    /// Made here, of modules alone: it needs no escaping.
    qr: String,
    secret: String,
}

impl<'a> SetUpPage<'a> {
    pub(super) fn of(page: Page<'a>, form_token: &'a str, enrolled: &'a Enrolled, is_shown: bool) -> Self {
        let key = is_shown.then(|| Key::of(enrolled));
        Self { page, form_token, id: enrolled.factor_id.as_str(), key }
    }
}

impl Key {
    fn of(enrolled: &Enrolled) -> Self {
        // A URI is far below what a QR code holds; without the picture, the key is still there to be typed.
        let qr = QrCode::with_error_correction_level(enrolled.otpauth_uri.as_bytes(), EcLevel::M)
            .map(|code| code.render::<svg::Color<'_>>().min_dimensions(240, 240).build())
            .unwrap_or_default();
        // What stands before the element is for files, not for a page.
        let qr = qr.find("<svg").map_or_else(String::new, |start| qr[start..].to_owned());
        let secret = enrolled.secret_base32.as_bytes().chunks(4).map(String::from_utf8_lossy);
        Self { qr, secret: secret.collect::<Vec<_>>().join(" ") }
    }
}

#[derive(Template)]
#[template(path = "ask_code.html")]
pub(super) struct AskCodePage<'a> {
    pub(super) page: Page<'a>,
    pub(super) form_token: &'a str,
    pub(super) heading: &'a str,
    pub(super) hint: &'a str,
    pub(super) action: &'a str,
    pub(super) button: &'a str,
}

#[derive(Template)]
#[template(path = "recovery_codes.html")]
pub(super) struct RecoveryCodesPage<'a> {
    pub(super) page: Page<'a>,
    pub(super) codes: Vec<&'a str>,
    /// A `data:` URL (RFC 2397), so that nothing need be kept for the download.
    pub(super) download: String,
}

impl<'a> RecoveryCodesPage<'a> {
    pub(super) fn of(page: Page<'a>, codes: Vec<&'a str>) -> Self {
        let download = format!("data:text/plain;charset=utf-8,{}", codes.join("%0A"));
        Self { page, codes, download }
    }
}

/// The day, in UTC.
fn day(at: UnixTime) -> String {
    jiff::tz::TimeZone::UTC.to_datetime(at.to_timestamp()).date().to_string()
}
