//! What somebody who has signed in sees and does.

use bytes::Bytes;
use http::{Response, StatusCode};
use tracing::info;

use super::{
    Failure, Form, NOT_FOUND, Portal, TOO_MUCH_AT_ONCE, Visit,
    pages::{AskCodePage, OverviewPage, Page, RecoveryCodesPage, SetUpPage, SignInPage},
    respond,
};
use crate::{
    admin::{AdminError, NewEnrolment, checked_label},
    factor::{Passcode, Presented},
    policy::Challenge,
    step_up::{
        Beside, Clock as _, EditDenial, EnrolmentStore as _, Session, SessionStore as _, StoreError,
        verify_flow,
    },
    types::{
        FactorId, Secret, UnixTime,
        limits::{PENDING_MAX, PORTAL_CHANGES_MAX, PORTAL_CONFIRMED_SECS, PORTAL_SESSION_TRIES},
    },
};

impl Portal {
    /// A page.
    pub(super) async fn show(&self, page: &[&str], visit: &Visit) -> Result<Response<Bytes>, Failure> {
        let Some((_, session)) = &visit.session else {
            return match page {
                [""] => {
                    let page = Page::of(self, None).after(visit);
                    let page = SignInPage { page, user_name: "", wants_code: false };
                    Ok(respond::page(StatusCode::OK, &page)?)
                }
                _ => Err(Failure::SignedOut),
            };
        };
        match page {
            [""] => self.overview(session, Page::of(self, Some(session)).after(visit), StatusCode::OK).await,
            ["factors", id] => self.set_up(session, &factor_id(id)?, None).await,
            ["factors", id, "remove"] => {
                factor_id(id)?;
                self.ask_to_remove(session, id, None)
            }
            ["recovery-codes"] => self.ask_to_replace_recovery_codes(session, None).await,
            _ => Err(NOT_FOUND),
        }
    }

    /// A form.
    pub(super) async fn change(
        &self,
        page: &[&str],
        visit: &Visit,
        form: &Form,
    ) -> Result<Response<Bytes>, Failure> {
        let (secret, _) = visit.session_of(form)?;
        if let ["sign-out"] = page {
            self.store.end_session(secret).await?;
            let mut response = respond::redirect(self, "?done=signed-out");
            respond::set_cookie(&mut response, &self.settings, None);
            return Ok(response);
        }
        let counted = async |session: &mut Session| {
            if session.changes >= PORTAL_CHANGES_MAX {
                return Err(Failure::Plain(StatusCode::TOO_MANY_REQUESTS, |texts| &texts.too_many_changes));
            }
            session.changes += 1;
            Ok(())
        };
        let session = self.go_on(secret, counted).await?;
        let answered = self.changed(page, secret, &session, form).await;
        info!(subject = %session.subject, page = page.first(), is_done = answered.is_ok(), "self-service");
        answered
    }

    async fn changed(
        &self,
        page: &[&str],
        secret: &Secret<String>,
        session: &Session,
        form: &Form,
    ) -> Result<Response<Bytes>, Failure> {
        match page {
            ["factors"] => self.add(secret, session, form).await,
            ["factors", id, "confirm"] => self.confirm(secret, session, &factor_id(id)?, form).await,
            ["factors", id, "rename"] => self.rename(session, &factor_id(id)?, form).await,
            ["factors", id, "remove"] => self.remove(secret, session, id, form).await,
            ["recovery-codes"] => self.replace_recovery_codes(session, form).await,
            ["devices", id, "forget"] => {
                let admin = self.administration(&session.subject);
                admin.forget_devices(&session.subject, Some(&factor_id(id)?)).await?;
                Ok(respond::redirect(self, "?done=forgotten"))
            }
            _ => Err(NOT_FOUND),
        }
    }

    /// Changes a session as it is by now, and keeps what it has become, unless it was ended meanwhile.
    async fn go_on(
        &self,
        secret: &Secret<String>,
        change: impl AsyncFn(&mut Session) -> Result<(), Failure>,
    ) -> Result<Session, Failure> {
        let (secs, now) = (self.settings.session_secs, self.clock.now());
        for _ in 0..PORTAL_SESSION_TRIES {
            let read = self.store.session(secret, now).await?.ok_or(Failure::SignedOut)?;
            let mut session = read.session.clone();
            change(&mut session).await?;
            if self.store.go_on_with_session(secret, &read, &session, secs, now).await? {
                return Ok(session);
            }
        }
        Err(TOO_MUCH_AT_ONCE)
    }

    /// The same after it has changed what counts; by a confirmation, or not.
    async fn go_on_with_factors(
        &self,
        secret: &Secret<String>,
        confirmed_at: Option<UnixTime>,
    ) -> Result<(), Failure> {
        let changed = async |session: &mut Session| {
            session.verified_beside = self.store.load(&session.subject).await?.factor_ids();
            session.confirmed_at = confirmed_at.or(session.confirmed_at);
            Ok(())
        };
        self.go_on(secret, changed).await.map(drop)
    }

    async fn overview(
        &self,
        session: &Session,
        page: Page<'_>,
        status: StatusCode,
    ) -> Result<Response<Bytes>, Failure> {
        let admin = self.administration(&session.subject);
        let report = admin.status(&session.subject).await?;
        let devices = admin.devices(&session.subject).await?;
        let (form_token, is_fresh) = (session.form_token.expose(), self.is_fresh(session));
        let page = OverviewPage::of(page, form_token, is_fresh, report.status(), &devices);
        Ok(respond::page(status, &page)?)
    }

    /// The overview, with what is wrong.
    async fn refuse(&self, session: &Session, problem: &str) -> Result<Response<Bytes>, Failure> {
        let page = Page::of(self, Some(session)).with_problem(problem);
        self.overview(session, page, StatusCode::CONFLICT).await
    }

    /// The overview, with why a change was not made, as far as it is a rule that somebody can meet by a page.
    async fn deny(&self, session: &Session, error: AdminError) -> Result<Response<Bytes>, Failure> {
        let texts = &self.settings.texts;
        let AdminError::Store(StoreError::Refused(denial)) = error else { return Err(error.into()) };
        match denial {
            EditDenial::TooManyFactors => self.refuse(session, &texts.full).await,
            EditDenial::NoSuchFactor => {
                let page = Page::of(self, Some(session)).with_problem(&texts.gone);
                self.overview(session, page, StatusCode::NOT_FOUND).await
            }
            EditDenial::NotPending => self.refuse(session, &texts.not_pending).await,
            EditDenial::Waits => self.refuse(session, &texts.waiting).await,
            EditDenial::NotEnrolled => self.refuse(session, &texts.no_factors).await,
            EditDenial::BadLabel => self.refuse(session, &texts.bad_label).await,
            EditDenial::IsPlain => self.refuse(session, &texts.of_the_site).await,
            // By then the session has not shown a factor that counts.
            EditDenial::OthersCount => Err(Failure::SignedOut),
            EditDenial::TooManyCodes
            | EditDenial::TakenId
            | EditDenial::IsAlias
            | EditDenial::ResetOfAlias
            | EditDenial::IsEnrolled
            | EditDenial::SameSubject
            | EditDenial::AliasOfAlias
            | EditDenial::BadSecret
            | EditDenial::BadDigest
            | EditDenial::TooLong
            | EditDenial::BadSearch
            | EditDenial::BadCursor
            | EditDenial::OldCursor
            | EditDenial::BadPlace
            | EditDenial::NoEvents
            | EditDenial::Contended => Err(error.into()),
        }
    }

    /// Makes a factor that waits for its confirmation. Beside another one, a fresh code is asked for: a session that
    /// somebody took over is no reason to let him stay.
    async fn add(
        &self,
        secret: &Secret<String>,
        session: &Session,
        form: &Form,
    ) -> Result<Response<Bytes>, Failure> {
        let new = NewEnrolment {
            secret: None,
            parameters: self.totp,
            label: Some(form.text("label").to_owned()),
            issuer: self.issuer.clone(),
            account: session.subject.as_str().to_owned(),
        };
        // Before a code is spent on it.
        if let Err(denial) = checked_label(new.label.clone()) {
            return self.deny(session, denial.into()).await;
        }
        if session.is_verified()
            && let Err(challenge) = self.verify(session, form).await?
        {
            return self.refuse(session, &self.fresh_code_text(challenge)).await;
        }
        match self.administration(&session.subject).propose(&session.subject, new).await {
            Ok(new) => {
                let proposed = async |session: &mut Session| {
                    session.proposed.push(new.factor_id.clone());
                    let too_many = session.proposed.len().saturating_sub(PENDING_MAX);
                    session.proposed.drain(..too_many);
                    Ok(())
                };
                self.go_on(secret, proposed).await?;
                Ok(respond::redirect(self, &format!("factors/{}", new.factor_id)))
            }
            Err(error) => self.deny(session, error).await,
        }
    }

    async fn set_up(
        &self,
        session: &Session,
        id: &FactorId,
        problem: Option<&str>,
    ) -> Result<Response<Bytes>, Failure> {
        let admin = self.administration(&session.subject);
        let enrolled = match admin.pending(&session.subject, id, &self.issuer).await {
            Ok(enrolled) => enrolled,
            Err(error) => return self.deny(session, error).await,
        };
        let page = Page { problem: problem.map(str::to_owned), ..Page::of(self, Some(session)) };
        let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        // Of one that was made elsewhere, by the help desk or by whoever knows the password, the secret is not shown.
        let is_own = session.proposed.contains(id);
        let page = SetUpPage::of(page, session.form_token.expose(), &enrolled, is_own);
        Ok(respond::page(status, &page)?)
    }

    /// Confirms a factor. A session that has shown nothing but a password may do so for the first one only; that it
    /// was the first is decided where it is written. From then on it has shown a factor.
    async fn confirm(
        &self,
        secret: &Secret<String>,
        session: &Session,
        id: &FactorId,
        form: &Form,
    ) -> Result<Response<Bytes>, Failure> {
        let beside = if session.is_verified() { Beside::Any } else { Beside::None };
        let passcode = Passcode::from_bytes(form.text("code").as_bytes());
        match self.administration(&session.subject).confirm(&session.subject, id, &passcode, beside).await {
            Ok(_) => {
                self.go_on_with_factors(secret, Some(self.clock.now())).await?;
                Ok(respond::redirect(self, "?done=confirmed"))
            }
            Err(AdminError::WrongPasscode) => {
                self.set_up(session, id, Some(&self.settings.texts.wrong_code)).await
            }
            Err(error) => self.deny(session, error).await,
        }
    }

    async fn rename(
        &self,
        session: &Session,
        id: &FactorId,
        form: &Form,
    ) -> Result<Response<Bytes>, Failure> {
        let label = Some(form.text("label").to_owned());
        match self.administration(&session.subject).rename_factor(&session.subject, id, label).await {
            Ok(_) => Ok(respond::redirect(self, "?done=renamed")),
            Err(error) => self.deny(session, error).await,
        }
    }

    fn ask_to_remove(
        &self,
        session: &Session,
        id: &str,
        problem: Option<String>,
    ) -> Result<Response<Bytes>, Failure> {
        let texts = &self.settings.texts;
        let action = format!("factors/{id}/remove");
        self.ask_code(session, problem, &texts.remove_title, &texts.remove_hint, &action, &texts.remove)
    }

    async fn remove(
        &self,
        secret: &Secret<String>,
        session: &Session,
        id: &str,
        form: &Form,
    ) -> Result<Response<Bytes>, Failure> {
        let factor = factor_id(id)?;
        if let Err(challenge) = self.verify(session, form).await? {
            return self.ask_to_remove(session, id, Some(self.fresh_code_text(challenge)));
        }
        match self.administration(&session.subject).remove_factor(&session.subject, &factor).await {
            Ok(_) => {
                self.go_on_with_factors(secret, None).await?;
                Ok(respond::redirect(self, "?done=removed"))
            }
            Err(error) => self.deny(session, error).await,
        }
    }

    async fn ask_to_replace_recovery_codes(
        &self,
        session: &Session,
        problem: Option<String>,
    ) -> Result<Response<Bytes>, Failure> {
        let texts = &self.settings.texts;
        let report = self.administration(&session.subject).status(&session.subject).await?;
        let (hint, button) = if report.status().recovery_codes > 0 {
            (&texts.recovery_replace_hint, &texts.recovery_replace)
        } else {
            (&texts.recovery_make_hint, &texts.recovery_make)
        };
        self.ask_code(session, problem, &texts.recovery_title, hint, "recovery-codes", button)
    }

    /// Makes recovery codes. They last, so that a fresh code is asked for, also where there are none yet: a session
    /// that somebody took over is no reason to let him stay. For the first ones, the code that confirmed a factor just
    /// now is one.
    async fn replace_recovery_codes(
        &self,
        session: &Session,
        form: &Form,
    ) -> Result<Response<Bytes>, Failure> {
        let admin = self.administration(&session.subject);
        let has_some = admin.status(&session.subject).await?.status().recovery_codes > 0;
        if (has_some || !self.is_fresh(session))
            && let Err(challenge) = self.verify(session, form).await?
        {
            let problem = Some(self.fresh_code_text(challenge));
            return self.ask_to_replace_recovery_codes(session, problem).await;
        }
        let codes = match admin.new_recovery_codes(&session.subject).await {
            Ok(codes) => codes,
            Err(error) => return self.deny(session, error).await,
        };
        let page = RecoveryCodesPage::of(Page::of(self, Some(session)), codes.texts().collect());
        Ok(respond::page(StatusCode::OK, &page)?)
    }

    /// Whether a factor was confirmed in this session just now.
    fn is_fresh(&self, session: &Session) -> bool {
        let now = self.clock.now();
        session.is_verified()
            && session.confirmed_at.is_some_and(|at| at <= now && at.secs_until(now) < PORTAL_CONFIRMED_SECS)
    }

    /// Verifies a fresh code of the form.
    async fn verify(&self, session: &Session, form: &Form) -> Result<Result<(), Challenge>, Failure> {
        let presented = Presented::from_header_values([form.text("code").as_bytes()]);
        let verified = verify_flow(&self.flow(), &session.subject, &presented).await?;
        Ok(verified.map(drop))
    }

    fn ask_code(
        &self,
        session: &Session,
        problem: Option<String>,
        heading: &str,
        hint: &str,
        action: &str,
        button: &str,
    ) -> Result<Response<Bytes>, Failure> {
        let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        let page = Page { problem, ..Page::of(self, Some(session)) };
        let form_token = session.form_token.expose();
        Ok(respond::page(status, &AskCodePage { page, form_token, heading, hint, action, button })?)
    }
}

fn factor_id(text: &str) -> Result<FactorId, Failure> {
    FactorId::parse(text).map_err(|_| NOT_FOUND)
}
