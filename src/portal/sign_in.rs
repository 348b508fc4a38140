//! Signing in: the site's own password, and the code of whoever has a factor.

use std::rc::Rc;

use super::{
    Failure, Form, Portal,
    pages::{Page, SignInPage},
    request::cookie,
    respond,
};
use crate::{
    factor::Presented,
    headers::{Forwarded, TraceId, X_FORWARDED_HOST, client_addr::Peer, copy_forwarded, set_forwarded},
    identity::fold_username,
    oauth::answer::classify,
    policy::{Challenge, Denial, FactorVerified, Means},
    step_up::{
        Claim, Clock as _, DeviceRequest, EnrolmentStore as _, GateError, GatedGrant, GrantFacts,
        OrphanClient, Session, SessionStore as _, SignIn, TokenOrigin, TokenOwner as _, sign_in_flow,
    },
    types::{Secret, SubjectId},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, USER_AGENT},
    request::Parts,
};

/// Bytes of a session's secret, and of its form token: 256 bits.
const SECRET_BYTES: usize = 32;

impl Portal {
    /// Takes the sign-in form.
    pub(super) async fn sign_in(
        self: &Rc<Self>,
        head: Parts,
        form: &Form,
        peer: Peer,
    ) -> Result<Response<Bytes>, Failure> {
        let texts = &self.settings.texts;
        let (user_name, password, code) = (form.text("username"), form.text("password"), form.text("code"));
        let Ok(typed) = fold_username(user_name) else {
            return self.ask_again("", &texts.bad_name, false);
        };
        if password.is_empty() {
            return self.ask_again(user_name, &texts.wrong_password, false);
        }
        let earlier = cookie(&head.headers);
        let grant = self.grant(head, typed, user_name, password, code, peer)?;
        let (problem, wants_code) = match self.sign_in_to_the_end(grant).await? {
            SignIn::Yes { subject, proof } => return self.begin(subject, proof.as_ref(), earlier).await,
            SignIn::Refused => (texts.wrong_password.clone(), !code.is_empty()),
            SignIn::Challenge(challenge) => (self.challenge_text(challenge), true),
            SignIn::Deny(Denial::UnknownAddress) => (texts.unknown_address.clone(), false),
            SignIn::Deny(Denial::Policy | Denial::IssuedBeforeEnrolment) => (texts.refused.clone(), false),
        };
        self.ask_again(user_name, &problem, wants_code)
    }

    /// What is said where a code is wanted.
    pub(super) fn challenge_text(&self, challenge: Challenge) -> String {
        let texts = &self.settings.texts;
        match challenge {
            Challenge::PasscodeWanted => texts.code_wanted.clone(),
            Challenge::WrongPasscode | Challenge::EnrolmentWanted => texts.wrong_code.clone(),
            Challenge::UsedPasscode => texts.used_code.clone(),
            Challenge::Locked { for_secs } => {
                texts.locked.replace("{minutes}", &for_secs.div_ceil(60).max(1).to_string())
            }
            Challenge::LockedForGood => texts.locked_for_good.clone(),
        }
    }

    /// The same where somebody has signed in already.
    pub(super) fn fresh_code_text(&self, challenge: Challenge) -> String {
        match challenge {
            Challenge::PasscodeWanted => self.settings.texts.fresh_code_wanted.clone(),
            other => self.challenge_text(other),
        }
    }

    fn ask_again(
        &self,
        user_name: &str,
        problem: &str,
        wants_code: bool,
    ) -> Result<Response<Bytes>, Failure> {
        let page = Page::of(self, None).with_problem(problem);
        Ok(respond::page(StatusCode::UNAUTHORIZED, &SignInPage { page, user_name, wants_code })?)
    }

    /// Signs in. Where tokens are revoked, one that the upstream issues for somebody who has left is still seen to.
    async fn sign_in_to_the_end(self: &Rc<Self>, grant: Box<GatedGrant>) -> Result<SignIn, GateError> {
        if !self.orphans.is_on() {
            return sign_in_flow(&self.flow(), grant).await;
        }
        let portal = Rc::clone(self);
        let flow = async move { sign_in_flow(&portal.flow(), grant).await };
        self.detached.to_the_end(flow, drop).await.unwrap_or(Err(GateError::Lost))
    }

    /// Begins a session, always under a new secret, and ends the one before.
    async fn begin(
        &self,
        subject: SubjectId,
        proof: Option<&FactorVerified>,
        earlier: Option<Secret<String>>,
    ) -> Result<Response<Bytes>, Failure> {
        let (secret, form_token) = (random()?, random()?);
        let verified_beside = match proof {
            None => Vec::new(),
            Some(proof) => {
                // With the one that was shown, even if it has gone since: then the session is over at once.
                let mut factors = self.store.load(&subject).await?.factor_ids();
                if proof.means() == Means::Passcode && !factors.contains(proof.id()) {
                    factors.push(proof.id().clone());
                }
                factors
            }
        };
        let now = self.clock.now();
        let session = Session {
            subject,
            verified_beside,
            proposed: Vec::new(),
            confirmed_at: None,
            changes: 0,
            began_at: now,
            renewed_at: now,
            form_token,
        };
        if let Some(earlier) = earlier {
            self.store.end_session(&earlier).await?;
        }
        self.store.begin_session(&secret, &session, self.settings.session_secs, now).await?;
        let mut response = respond::redirect(self, "");
        respond::set_cookie(&mut response, &self.settings, Some(&secret));
        Ok(response)
    }

    /// The grant that checks the password.
    fn grant(
        &self,
        mut head: Parts,
        typed: SubjectId,
        user_name: &str,
        password: &str,
        code: &str,
        peer: Peer,
    ) -> Result<Box<GatedGrant>, Failure> {
        let claim = if self.token_server.tells_owners() { Claim::OfToken } else { Claim::Name(typed) };
        let presented = if code.trim().is_empty() {
            Presented::Nothing
        } else {
            Presented::from_header_values([code.as_bytes()])
        };
        let address = self.trusted_proxies.client(peer, &head.headers);
        // Not what the visitor says: of several sites behind the server it is the one whose people these pages are for.
        let host = HeaderValue::from_str(self.settings.url.authority())
            .map_err(|error| Failure::Unavailable(error.into()))?;
        let is_trusted = self.trusted_proxies.contains(peer);
        head.headers.remove(COOKIE);
        set_forwarded(
            &mut head.headers,
            Forwarded { peer: peer.address.ip(), is_tls: peer.is_tls, is_trusted, host: Some(&host) },
        );
        head.headers.insert(X_FORWARDED_HOST, host.clone());
        let client = &self.settings.client;
        let mut headers = HeaderMap::new();
        copy_forwarded(&head.headers, &mut headers);
        if let Some(agent) = head.headers.remove(USER_AGENT) {
            headers.insert(USER_AGENT, agent);
        }
        headers.insert(HOST, host);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let authorization = client.basic();
        if let Some(basic) = &authorization {
            let mut basic =
                HeaderValue::from_str(basic.expose()).map_err(|error| Failure::Unavailable(error.into()))?;
            basic.set_sensitive(true);
            headers.insert(AUTHORIZATION, basic);
        }
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "password");
        form.append_pair("username", user_name).append_pair("password", password);
        if authorization.is_none() {
            form.append_pair("client_id", &client.client_id);
        }
        if let Some(scope) = &self.settings.scope {
            form.append_pair("scope", scope);
        }
        let origin = self.orphans.is_on().then(|| TokenOrigin {
            client: OrphanClient {
                client_id: authorization.is_none().then(|| client.client_id.clone()),
                authorization,
                client_secret: None,
            },
            host: headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned),
        });
        let mut request = Request::new(Bytes::from(form.finish()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self
            .token_path
            .parse()
            .map_err(|error: http::uri::InvalidUri| Failure::Unavailable(error.into()))?;
        *request.headers_mut() = headers;
        let facts = GrantFacts {
            client_id: Some(client.client_id.clone()),
            scope: self.settings.scope.clone(),
            address,
            trace_id: TraceId::of(&head.headers),
        };
        let device = DeviceRequest::default();
        Ok(Box::new(GatedGrant { claim, presented, device, request, origin, facts, judge: classify }))
    }
}

fn random() -> Result<Secret<String>, Failure> {
    let mut bytes = zeroize::Zeroizing::new([0; SECRET_BYTES]);
    getrandom::fill(&mut *bytes).map_err(|error| Failure::Unavailable(error.into()))?;
    Ok(Secret::new(data_encoding::BASE64URL_NOPAD.encode(&*bytes)))
}
