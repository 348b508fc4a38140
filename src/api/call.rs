//! One call: from what was asked for to the use case, and from its answer to JSON.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::LOCATION};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{
    access::Caller,
    body::{AliasBody, ConfirmationBody, LabelBody, NewFactorBody, ReadBody},
    problem::{Problem, json_response},
    query::Query,
    routes::{Names, Operation},
    server::{ApiSettings, PREFIX},
};
use crate::{
    admin::{Administration, LeadsTo, NewEnrolment, device_json, event_json, name_json},
    factor::{Passcode, totp::decode_base32},
    identity::fold_username,
    step_up::{Beside, ListCursor, ListQuery, TrailQuery},
    store::Store,
    telemetry::SystemClock,
    types::{FactorId, SubjectId},
};

/// What stands in a path as it is (RFC 3986 section 2.3).
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What is to be done, checked as far as that needs no store.
#[derive(Debug)]
pub(super) enum Call {
    List(ListQuery),
    Show(SubjectId),
    Enrol { typed: String, subject: SubjectId, new: NewFactorBody },
    Confirm { subject: SubjectId, factor: FactorId, passcode: Passcode },
    Rename { subject: SubjectId, factor: FactorId, label: Option<String> },
    Remove { subject: SubjectId, factor: FactorId },
    Disable(SubjectId),
    MakeRecoveryCodes(SubjectId),
    ListDevices(SubjectId),
    ForgetDevice { subject: SubjectId, device: FactorId },
    ForgetDevices(SubjectId),
    Unlock(SubjectId),
    Reset(SubjectId),
    AddAlias { alias: SubjectId, subject: SubjectId, leads_to: LeadsTo },
    RemoveAlias(SubjectId),
    ShowAudit(TrailQuery),
    Document,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    body: Value,
    location: Option<String>,
}

impl Answer {
    const fn ok(body: Value) -> Self {
        Self { status: StatusCode::OK, body, location: None }
    }

    /// The response.
    pub(super) fn response(&self) -> Response<Bytes> {
        let mut response = json_response(self.status, &self.body);
        if let Some(location) = self.location.as_ref().and_then(|text| HeaderValue::from_str(text).ok()) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }
}

impl Call {
    /// Reads what an operation is to work on.
    pub(super) fn read(
        operation: Operation,
        names: &Names<'_>,
        mut query: Query,
        body: &ReadBody,
    ) -> Result<Self, Problem> {
        let subject = || names.subject().map(|(_, subject)| subject).map_err(Problem::Unsuitable);
        // An id that no factor can have is none of the subject's.
        let factor = || names.factor().map_err(|_| Problem::NoSuchFactor);
        let call = match operation {
            Operation::Enrol => {
                let (typed, subject) = names.subject().map_err(Problem::Unsuitable)?;
                return Ok(Self::Enrol { typed, subject, new: body.json_or_default()? });
            }
            Operation::Confirm => {
                let confirmation: ConfirmationBody = body.json()?;
                let passcode = Passcode::from_bytes(confirmation.code.expose().as_bytes());
                return Ok(Self::Confirm { subject: subject()?, factor: factor()?, passcode });
            }
            Operation::Rename => {
                let LabelBody { label } = body.json()?;
                return Ok(Self::Rename { subject: subject()?, factor: factor()?, label });
            }
            Operation::AddAlias => {
                let AliasBody { subject: of, not_enrolled } = body.json()?;
                let of = fold_username(&of)
                    .map_err(|fault| Problem::Unsuitable(format!("the body's member 'subject' {fault}")))?;
                let leads_to = if not_enrolled { LeadsTo::Anybody } else { LeadsTo::Enrolled };
                return Ok(Self::AddAlias { alias: subject()?, subject: of, leads_to });
            }
            Operation::Document => Self::Document,
            Operation::ListSubjects => Self::List(ListQuery {
                containing: query.take("search"),
                cursor: query.take("cursor").map(ListCursor),
                limit: query.limit()?,
            }),
            Operation::ShowSubject => Self::Show(subject()?),
            Operation::Remove => Self::Remove { subject: subject()?, factor: factor()? },
            Operation::Disable => Self::Disable(subject()?),
            Operation::MakeRecoveryCodes => Self::MakeRecoveryCodes(subject()?),
            Operation::ListDevices => Self::ListDevices(subject()?),
            Operation::ForgetDevice => {
                let device = names.factor().map_err(|_| Problem::NoSuchDevice)?;
                Self::ForgetDevice { subject: subject()?, device }
            }
            Operation::ForgetDevices => Self::ForgetDevices(subject()?),
            Operation::Unlock => Self::Unlock(subject()?),
            Operation::Reset => Self::Reset(subject()?),
            Operation::RemoveAlias => Self::RemoveAlias(subject()?),
            Operation::ShowAudit => {
                let subject = query.take("subject").map(|name| fold_username(&name)).transpose();
                let subject = subject
                    .map_err(|fault| Problem::Unsuitable(format!("the parameter 'subject' {fault}")))?;
                Self::ShowAudit(TrailQuery { subject, before: query.take("before"), limit: query.limit()? })
            }
        };
        body.nothing()?;
        Ok(call)
    }

    /// Does it, in the caller's name.
    pub(super) async fn perform(
        self,
        store: &Store,
        settings: &ApiSettings,
        caller: &Caller,
    ) -> Result<Answer, Problem> {
        let admin = Administration::new(store, &SystemClock, caller.actor.clone());
        let body = match self {
            Self::Document => Value::Null,
            Self::List(query) => {
                let page = admin.list(&query).await?;
                let names: Vec<Value> = page.names.iter().map(name_json).collect();
                json!({ "subjects": names, "next_cursor": page.next.map(|cursor| cursor.0) })
            }
            Self::ShowAudit(query) => {
                let page = admin.trail(&query).await?;
                let events: Vec<Value> = page.events.iter().map(event_json).collect();
                json!({ "events": events, "next_before": page.next })
            }
            Self::Show(subject) => admin.status(&subject).await?.to_json(),
            Self::Enrol { typed, subject, new } => return enrol(&admin, settings, typed, subject, new).await,
            Self::Confirm { subject, factor, passcode } => {
                let factors = admin.confirm(&subject, &factor, &passcode, Beside::Any).await?;
                json!({ "subject": subject.as_str(), "factor_id": factor.as_str(), "factors": factors })
            }
            Self::Rename { subject, factor, label } => {
                let label = admin.rename_factor(&subject, &factor, label).await?;
                json!({ "subject": subject.as_str(), "factor_id": factor.as_str(), "label": label })
            }
            Self::Remove { subject, factor } => {
                let factors = admin.remove_factor(&subject, &factor).await?;
                json!({ "subject": subject.as_str(), "factor_id": factor.as_str(), "factors": factors })
            }
            Self::Disable(subject) => {
                let removed = admin.disable(&subject).await?;
                json!({ "subject": subject.as_str(), "factors_removed": removed })
            }
            Self::MakeRecoveryCodes(subject) => admin.new_recovery_codes(&subject).await?.to_json(&subject),
            Self::ListDevices(subject) => {
                let devices = admin.devices(&subject).await?;
                let devices: Vec<Value> = devices.iter().map(device_json).collect();
                json!({ "subject": subject.as_str(), "devices": devices })
            }
            Self::ForgetDevice { subject, device } => {
                if admin.forget_devices(&subject, Some(&device)).await? == 0 {
                    return Err(Problem::NoSuchDevice);
                }
                json!({ "subject": subject.as_str(), "devices_forgotten": 1 })
            }
            Self::ForgetDevices(subject) => {
                let forgotten = admin.forget_devices(&subject, None).await?;
                json!({ "subject": subject.as_str(), "devices_forgotten": forgotten })
            }
            Self::Unlock(subject) => {
                let unlocked = admin.unlock(&subject).await?;
                json!({ "subject": subject.as_str(), "unlocked": unlocked })
            }
            Self::Reset(subject) => admin.reset(&subject).await?.to_json(&subject),
            Self::AddAlias { alias, subject, leads_to } => {
                admin.add_alias(&alias, &subject, leads_to).await?;
                json!({ "alias": alias.as_str(), "subject": subject.as_str() })
            }
            Self::RemoveAlias(alias) => {
                if !admin.remove_alias(&alias).await? {
                    return Err(Problem::NoSuchAlias);
                }
                json!({ "alias": alias.as_str(), "removed": true })
            }
        };
        Ok(Answer::ok(body))
    }
}

type Admin<'a> = Administration<'a, Store, SystemClock>;

async fn enrol(
    admin: &Admin<'_>,
    settings: &ApiSettings,
    typed: String,
    subject: SubjectId,
    new: NewFactorBody,
) -> Result<Answer, Problem> {
    let secret = new.secret.map(|text| {
        decode_base32(text.expose()).ok_or_else(|| {
            Problem::Unsuitable("the body's member 'secret' must be base32 (A to Z and 2 to 7)".into())
        })
    });
    let enrolment = NewEnrolment {
        secret: secret.transpose()?,
        parameters: settings.totp,
        label: new.label,
        issuer: settings.issuer.clone(),
        account: typed,
    };
    let enrolled = if new.pending {
        admin.propose(&subject, enrolment).await?
    } else {
        admin.enrol(&subject, enrolment).await?
    };
    let name = utf8_percent_encode(subject.as_str(), &UNRESERVED);
    let location = format!("{PREFIX}/subjects/{name}/factors/{}", enrolled.factor_id);
    Ok(Answer { status: StatusCode::CREATED, body: enrolled.to_json(&subject), location: Some(location) })
}
