//! What is looked at before anything starts, by `serve` and `check-config` alike.
//!
//! Invariant: it makes nothing, and changes no record.

use std::{fs::OpenOptions, path::Path, time::Duration};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use tokio::time::sleep;
use tracing::warn;

use super::{AppError, data_plane, install_tls_provider};
use crate::{
    config::Settings,
    policy::{Enforcement, rules::Verdict},
    step_up::{EnrolmentRegistry as _, ListQuery},
    store::{Opener, Store},
    telemetry::AuditTarget,
};

/// How often a Redis that does not answer is asked whether it is empty.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Refuses what `serve` would refuse, but for what only listening shows. Answers what is allowed, and better not done.
pub fn preflight(settings: &Settings) -> Result<Vec<String>, AppError> {
    install_tls_provider();
    let store = Opener::preflight(&settings.store, &settings.key_file, settings.must_exist)?;
    data_plane::check(settings)?;
    if let AuditTarget::File(file) = &settings.audit {
        may_append(&file.path).map_err(|source| AppError::AuditFile { path: file.path.clone(), source })?;
    }
    let mut warnings = dangers(settings);
    if store.is_empty_beside_keys {
        warnings.push(
            "nobody is enrolled, so that every password is enough, and yet there is a key file: if somebody was \
             enrolled before, stop and restore the store; [store] must_exist = true refuses an empty one"
                .into(),
        );
    }
    Ok(warnings)
}

/// What is allowed of a configuration, and better not done.
pub(super) fn dangers(settings: &Settings) -> Vec<String> {
    let mut dangers = Vec::new();
    if settings.api.is_some() && settings.admin_tls.is_none() && !settings.admin_address.ip().is_loopback() {
        dangers.push(
            "tokens and secrets of the administration API are not encrypted: set admin.certificate_file"
                .into(),
        );
    }
    if settings.enforcement == Enforcement::AuditOnly {
        dangers
            .push("nothing is enforced ([enforcement] mode = \"audit-only\"): every token is let out".into());
    }
    let rules = settings.rules.as_slice();
    let for_all = |rule: &crate::policy::rules::Rule| {
        rule.conditions.is_empty() && matches!(rule.verdict, Verdict::Exempt)
    };
    if let Some(position) = rules.iter().position(for_all)
        && position + 1 < rules.len()
    {
        dangers.push(format!(
            "the rule '{}' ([[policy]]) has no condition and exempts everybody: no rule after it ever decides",
            rules[position].name
        ));
    }
    dangers
}

/// Whether a file can be appended to, or made.
fn may_append(path: &Path) -> std::io::Result<()> {
    if path.exists() {
        return OpenOptions::new().append(true).open(path).map(drop);
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(accessat(CWD, directory, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?)
}

/// Warns of a Redis in which nobody was ever enrolled, once it answers.
pub(super) async fn warn_of_empty_redis(opener: Opener, store: std::rc::Rc<Store>) {
    while opener.is_marked() == Some(false) {
        let first = ListQuery { limit: 1, ..ListQuery::default() };
        if store.ping().await.is_ok()
            && let Ok(page) = store.list(&first).await
        {
            if opener.is_marked() == Some(false) && page.names.is_empty() {
                warn!(
                    "nobody is enrolled in this Redis, so that every password is enough: if somebody was enrolled \
                     before, stop and restore its data; [store] must_exist = true refuses an empty one"
                );
            }
            return;
        }
        sleep(ASK_AGAIN).await;
    }
}
