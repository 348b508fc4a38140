//! The only place where the pages become responses, and where what went wrong becomes a page.

use askama::Template;
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE},
};

use super::{
    Logo, Portal, PortalSettings, Texts,
    pages::{Page, SignInPage},
    request::COOKIE_NAME,
};
use crate::{
    admin::AdminError,
    step_up::{GateError, StoreError},
    types::Secret,
};

/// Why there is no page.
#[derive(Debug)]
pub(super) enum Failure {
    /// A form, or a page behind the sign-in, without a session.
    SignedOut,
    /// A plain text in the place of a page; which one.
    Plain(StatusCode, fn(&Texts) -> &str),
    /// Not GET, HEAD or POST.
    MethodNotAllowed,
    /// The store or the upstream does not answer, or a template does not render.
    Unavailable(Box<dyn std::error::Error>),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<GateError> for Failure {
    fn from(error: GateError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<askama::Error> for Failure {
    fn from(error: askama::Error) -> Self {
        Self::Unavailable(error.into())
    }
}

impl Failure {
    pub(super) fn response(self, portal: &Portal) -> Response<Bytes> {
        let texts = &portal.settings.texts;
        match self {
            Self::Plain(status, why) => plain(status, why(texts)),
            Self::MethodNotAllowed => {
                let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, &texts.bad_method);
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
                response
            }
            Self::SignedOut => signed_out(portal, StatusCode::UNAUTHORIZED, &texts.session_over),
            Self::Unavailable(error) => {
                tracing::error!(error = &*error, "a page could not be shown");
                let mut response = signed_out(portal, StatusCode::SERVICE_UNAVAILABLE, &texts.unavailable);
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
                response
            }
        }
    }
}

fn signed_out(portal: &Portal, status: StatusCode, problem: &str) -> Response<Bytes> {
    let page = Page::of(portal, None).with_problem(problem);
    let page = SignInPage { page, user_name: "", wants_code: false };
    self::page(status, &page).unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR, problem))
}

/// A page.
pub(super) fn page(status: StatusCode, template: &impl Template) -> Result<Response<Bytes>, askama::Error> {
    let mut response = Response::new(Bytes::from(template.render()?));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    Ok(response)
}

/// See other (RFC 9110 section 15.4.4): a page below the base.
pub(super) fn redirect(portal: &Portal, page: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let target = format!("{}{page}", portal.settings.url.path());
    if let Ok(target) = HeaderValue::try_from(target) {
        response.headers_mut().insert(LOCATION, target);
    }
    response
}

/// Gives the browser a session's secret, or takes it away. The cookie goes to our pages only: not to the site
/// behind the gateway, nor along with requests that other sites make.
pub(super) fn set_cookie(
    response: &mut Response<Bytes>,
    settings: &PortalSettings,
    secret: Option<&Secret<String>>,
) {
    let (path, secure) = (settings.url.path(), if settings.url.is_https() { "; Secure" } else { "" });
    let cookie = match secret {
        Some(secret) => {
            format!("{COOKIE_NAME}={}; Path={path}; HttpOnly; SameSite=Strict{secure}", secret.expose())
        }
        None => format!("{COOKIE_NAME}=; Path={path}; Max-Age=0; HttpOnly; SameSite=Strict{secure}"),
    };
    if let Ok(mut cookie) = HeaderValue::try_from(cookie) {
        cookie.set_sensitive(true);
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

/// A file that is part of the program. It may be kept for an hour.
pub(super) fn asset(media_type: &'static str, bytes: &'static [u8]) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
    response
}

/// The site's picture.
pub(super) fn logo(logo: &Logo) -> Response<Bytes> {
    let mut response = Response::new(logo.bytes.clone());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(logo.media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
    response
}

fn plain(status: StatusCode, why: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(format!("{why}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// What a browser may do with our answers: as little as they need.
pub(super) fn seal_off(mut response: Response<Bytes>, settings: &PortalSettings) -> Response<Bytes> {
    const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; \
                          frame-ancestors 'none'; base-uri 'none'";
    let headers = response.headers_mut();
    let fixed = [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        // With `no-referrer`, forms would come from `null`.
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), microphone=(), geolocation=(), clipboard-write=(self)"),
    ];
    for (name, value) in fixed {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if settings.url.is_https() {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(HeaderName::from_static("strict-transport-security"), year);
    }
    response
}
