//! Layer 6: the self-service pages, where people set up, replace and remove their second factor.
//!
//! Invariants: nobody gets further than the sign-in without the site's own password, and, once enrolled, without a
//! factor; no rule and no mode exempts from that; a form is taken from our own pages only; no password is kept; the
//! pages work without scripts, and load nothing from elsewhere.

mod actions;
mod pages;
mod request;
mod respond;
mod settings;
mod sign_in;
mod texts;

use std::{rc::Rc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use tokio::sync::mpsc;

use self::{
    request::{Form, Visit},
    respond::Failure,
};
pub use self::{
    settings::{Logo, PortalClient, PortalSettings, PortalUrl},
    texts::Texts,
};
use crate::{
    admin::Administration,
    factor::totp::TotpParameters,
    headers::client_addr::{Peer, TrustedProxies},
    policy::{
        AddressRule, Enforcement,
        rules::Rules,
        throttle::{Passage, Throttle},
    },
    step_up::{Actor, Flow, throttled},
    store::Store,
    telemetry::{AuditLog, SystemClock},
    types::{SubjectId, limits::PORTAL_FORM_BYTES_MAX},
    upstream::{ClientBody, Detached, OrphanSender, TokenServer},
};

/// All that one runtime thread needs to serve the pages.
pub struct Portal {
    /// `[portal]`.
    pub settings: Rc<PortalSettings>,
    /// Enrolments, attempts, sessions, the trail.
    pub store: Rc<Store>,
    /// Where passwords are checked.
    pub token_server: Rc<TokenServer>,
    /// The path of the token endpoint.
    pub token_path: String,
    /// Where the tokens of sign-ins go.
    pub orphans: OrphanSender,
    /// The work for those who have left.
    pub detached: Rc<Detached>,
    /// The audit trail of attempts.
    pub audit: Rc<AuditLog>,
    /// The time.
    pub clock: SystemClock,
    /// What e-mail addresses are.
    pub addresses: AddressRule,
    /// Who is refused.
    pub rules: Rules,
    /// Whose `X-Forwarded-*` is believed.
    pub trusted_proxies: TrustedProxies,
    /// How often a client may try to sign in.
    pub throttle: Option<Throttle>,
    /// The parameters of new factors.
    pub totp: TotpParameters,
    /// The name that authenticator apps show.
    pub issuer: String,
    /// Held until the last sign-in has ended; whoever drains waits for its other end.
    pub under_way: mpsc::Sender<()>,
}

/// How long a form may take to arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);
/// What stands for a page that is not there.
const NOT_FOUND: Failure = Failure::Plain(StatusCode::NOT_FOUND, |texts| &texts.not_found);

/// What stands for a change of a session that others change all the time.
const TOO_MUCH_AT_ONCE: Failure =
    Failure::Plain(StatusCode::TOO_MANY_REQUESTS, |texts| &texts.too_much_at_once);

impl Portal {
    /// Whether a path is one of the pages.
    pub fn serves(&self, path: &str) -> bool {
        let base = self.settings.url.path();
        path.starts_with(base) || path == base.trim_end_matches('/')
    }

    /// Answers a request for one of the pages.
    pub async fn answer(self: &Rc<Self>, request: Request<ClientBody>, peer: Peer) -> Response<Bytes> {
        let is_head = request.method() == Method::HEAD;
        let mut response = match self.try_answer(request, peer).await {
            Ok(response) => response,
            Err(failure) => failure.response(self),
        };
        if is_head {
            *response.body_mut() = Bytes::new();
        }
        respond::seal_off(response, &self.settings)
    }

    async fn try_answer(
        self: &Rc<Self>,
        request: Request<ClientBody>,
        peer: Peer,
    ) -> Result<Response<Bytes>, Failure> {
        let (head, body) = request.into_parts();
        let Some(page) = head.uri.path().strip_prefix(self.settings.url.path()) else {
            return Ok(respond::redirect(self, ""));
        };
        let page: Vec<&str> = page.split('/').collect();
        match head.method {
            Method::GET | Method::HEAD => match page[..] {
                ["style.css"] => {
                    Ok(respond::asset("text/css; charset=utf-8", include_bytes!("assets/style.css")))
                }
                ["script.js"] => {
                    Ok(respond::asset("text/javascript; charset=utf-8", include_bytes!("assets/script.js")))
                }
                ["logo"] => self.settings.logo.as_ref().map(respond::logo).ok_or(NOT_FOUND),
                _ => {
                    let visit = Visit::of(self, &head).await?;
                    self.show(&page, &visit).await
                }
            },
            Method::POST => {
                request::check_origin(&self.settings.url, &head.headers)?;
                let form = Form::parse(&head.headers, &read(body).await?)?;
                if page[..] == ["sign-in"] {
                    let client =
                        self.trusted_proxies.client(peer, &head.headers).unwrap_or(peer.address.ip());
                    if let Passage::In(_) = throttled(&*self.store, self.throttle, client).await {
                        return Err(Failure::Plain(StatusCode::TOO_MANY_REQUESTS, |t| &t.too_many_sign_ins));
                    }
                    return self.sign_in(head, &form, peer).await;
                }
                let visit = Visit::of(self, &head).await?;
                self.change(&page, &visit, &form).await
            }
            _ => Err(Failure::MethodNotAllowed),
        }
    }

    fn flow(&self) -> Flow<'_, Store, TokenServer, SystemClock, AuditLog, OrphanSender> {
        Flow {
            store: &self.store,
            upstream: &self.token_server,
            addresses: self.addresses,
            rules: &self.rules,
            enforcement: Enforcement::On,
            remember_refresh_secs: None,
            remember_devices_secs: None,
            clock: &self.clock,
            audit: &self.audit,
            orphans: &self.orphans,
        }
    }

    /// Changes on behalf of the subject itself.
    fn administration(&self, subject: &SubjectId) -> Administration<'_, Store, SystemClock> {
        Administration::new(&self.store, &self.clock, Actor::own(subject))
    }
}

async fn read(body: ClientBody) -> Result<Bytes, Failure> {
    let whole = Limited::new(body, PORTAL_FORM_BYTES_MAX).collect();
    match tokio::time::timeout(FORM_TIMEOUT, whole).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Failure::Plain(StatusCode::PAYLOAD_TOO_LARGE, |texts| &texts.form_too_large))
        }
        Ok(Err(_)) => Err(Failure::Plain(StatusCode::BAD_REQUEST, |texts| &texts.bad_form)),
        Err(_) => Err(Failure::Plain(StatusCode::REQUEST_TIMEOUT, |texts| &texts.form_too_late)),
    }
}
