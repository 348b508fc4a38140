//! What a browser sends: a form, a cookie, where the form comes from.

use std::collections::BTreeMap;

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, COOKIE, ORIGIN},
    request::Parts,
};
use subtle::ConstantTimeEq as _;

use super::{Failure, Portal, PortalUrl, TOO_MUCH_AT_ONCE};
use crate::{
    step_up::{Clock as _, EnrolmentStore as _, Session, SessionStore as _},
    types::{
        Secret,
        limits::{PORTAL_SESSION_SECS_MAX, PORTAL_SESSION_TRIES},
    },
};

/// The cookie that holds a session's secret.
pub(super) const COOKIE_NAME: &str = "tfa_session";
/// How often the end of a session is put off within its time, at the most.
const RENEWALS: u64 = 8;
/// The field of a form that holds the session's form token.
const FORM_TOKEN: &str = "form_token";

/// Somebody's visit.
pub(super) struct Visit {
    /// The session, if there is one that counts.
    pub(super) session: Option<(Secret<String>, Session)>,
    /// What was just done, by the query of a redirect.
    pub(super) done: Option<String>,
}

impl Visit {
    /// Reads the cookie, and asks the store. A session that began without a factor is over when its subject has one
    /// by now that this session has not shown: somebody else may know the password. One that has shown a factor is over
    /// when a factor of that moment is gone: somebody may have had it who should not.
    pub(super) async fn of(portal: &Portal, head: &Parts) -> Result<Self, Failure> {
        let done = head.uri.query().and_then(|query| query.strip_prefix("done=")).map(str::to_owned);
        let Some(secret) = cookie(&head.headers) else { return Ok(Self { session: None, done }) };
        let session = session(portal, &secret).await?;
        Ok(Self { session: session.map(|session| (secret, session)), done })
    }

    /// The session of a form that must have one, and that was made for it.
    pub(super) fn session_of(&self, form: &Form) -> Result<&(Secret<String>, Session), Failure> {
        let session = self.session.as_ref().ok_or(Failure::SignedOut)?;
        let token = form.text(FORM_TOKEN).as_bytes();
        if token.ct_eq(session.1.form_token.expose().as_bytes()).into() {
            Ok(session)
        } else {
            Err(Failure::Plain(StatusCode::FORBIDDEN, |texts| &texts.form_of_another_session))
        }
    }
}

/// The session of this secret, if it stands. Its end is put off, unless another request just does so.
async fn session(portal: &Portal, secret: &Secret<String>) -> Result<Option<Session>, Failure> {
    let (now, secs) = (portal.clock.now(), portal.settings.session_secs);
    for _ in 0..PORTAL_SESSION_TRIES {
        let Some(read) = portal.store.session(secret, now).await? else { return Ok(None) };
        let mut session = read.session.clone();
        let factors = portal.store.load(&session.subject).await?.factor_ids();
        let stands = if session.is_verified() {
            session.verified_beside.iter().all(|shown| factors.contains(shown))
        } else {
            factors.is_empty()
        };
        if !stands || session.began_at.secs_until(now) >= PORTAL_SESSION_SECS_MAX {
            portal.store.end_session(secret).await?;
            return Ok(None);
        }
        if session.renewed_at.secs_until(now) < secs / RENEWALS {
            return Ok(Some(session));
        }
        session.renewed_at = now;
        if portal.store.go_on_with_session(secret, &read, &session, secs, now).await? {
            return Ok(Some(session));
        }
    }
    Err(TOO_MUCH_AT_ONCE)
}

/// The secret in the session's cookie. Of two cookies of that name, neither counts.
pub(super) fn cookie(headers: &HeaderMap) -> Option<Secret<String>> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(name, value)| *name == COOKIE_NAME && !value.is_empty());
    let (_, value) = values.next()?;
    values.next().is_none().then(|| Secret::new(value.to_owned()))
}

/// A form is taken from our own pages only: browsers say where it comes from (Fetch standard, "Origin" header).
pub(super) fn check_origin(url: &PortalUrl, headers: &HeaderMap) -> Result<(), Failure> {
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (Some(origin), None) if origin.as_bytes() == url.origin().as_bytes() => Ok(()),
        _ => Err(Failure::Plain(StatusCode::FORBIDDEN, |texts| &texts.form_of_another_site)),
    }
}

/// A form, each field of which came once.
pub(super) struct Form(BTreeMap<String, Secret<String>>);

impl Form {
    pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, Failure> {
        let media_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        if media_type != Some(b"application/x-www-form-urlencoded".as_slice()) {
            return Err(Failure::Plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, |texts| &texts.bad_form));
        }
        let mut fields = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(body) {
            if fields.insert(name.into_owned(), Secret::new(value.into_owned())).is_some() {
                return Err(Failure::Plain(StatusCode::BAD_REQUEST, |texts| &texts.bad_form));
            }
        }
        Ok(Self(fields))
    }

    /// A field's value; empty if it is not there.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |value| value.expose().as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_of_another_site_is_refused() {
        let url = PortalUrl::parse("https://site.example/tfa/").unwrap();
        for (origins, expected) in [
            (&["https://site.example"][..], true),
            (&["http://site.example"], false),
            (&["https://site.example:8443"], false),
            (&["https://evil.example"], false),
            (&["null"], false),
            (&[], false),
            (&["https://site.example", "https://evil.example"], false),
        ] {
            let mut headers = HeaderMap::new();
            for origin in origins {
                headers.append(ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(check_origin(&url, &headers).is_ok(), expected, "{origins:?}");
        }
    }

    #[test]
    fn a_cookie_that_came_twice_is_none() {
        for (lines, expected) in [
            (&["tfa_session=abc"][..], Some("abc")),
            (&["a=b; tfa_session=abc; c=d"], Some("abc")),
            (&["tfa_session=abc; tfa_session=def"], None),
            (&["tfa_session=abc", "tfa_session=abc"], None),
            (&["tfa_session="], None),
            (&["xtfa_session=abc"], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_static(line));
            }
            assert_eq!(
                cookie(&headers).map(|secret| secret.expose().clone()).as_deref(),
                expected,
                "{lines:?}"
            );
        }
    }
}
