//! Whose a token is, as the upstream says: by introspection, user info, or whatever it has instead.
//!
//! Invariants: what cannot be looked up, or does not name a subject, is an error, never a stranger; the token is
//! sent to the configured place and to no other.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST},
};
use serde_json::Value;

use super::{ClientCredentials, EndpointUrl, Pool, UpstreamError, UpstreamSettings};
use crate::{
    headers::copy_forwarded,
    identity::{ClaimFault, Pointer, subject_at, subject_of_jwt},
    oauth::IssuedTokens,
    step_up::{OwnerError, TokenOwner, TokenUpstream, UpstreamAnswer, UpstreamFault},
    types::{Secret, SubjectId},
};

/// Where the subject of a token is found.
#[derive(Debug, Clone)]
pub enum OwnerSource {
    /// In what was typed; the upstream is not asked.
    Username,
    /// In the answer to a question.
    Asked {
        /// Which question.
        question: Question,
        /// Where it is asked.
        url: EndpointUrl,
        /// Where the subject stands in the answer.
        pointer: Pointer,
    },
    /// In the claims of the access token (RFC 9068).
    Jwt(Pointer),
    /// In the token answer itself.
    Response(Pointer),
}

/// How the upstream is asked.
#[derive(Debug, Clone)]
pub enum Question {
    /// RFC 7662, as the gateway's own client if it has one.
    Introspection(Option<ClientCredentials>),
    /// OpenID Connect Core section 5.3.
    Userinfo,
    /// A `GET` of a URL with the token in it, as Drupal's `oauth2_server` has it.
    TokenInfo,
}

/// The OAuth2 server as the flow needs it: it issues tokens, and says whose they are. One a runtime thread.
pub struct TokenServer {
    pool: Pool,
    source: OwnerSource,
    /// Connections to where subjects are looked up.
    asking: Pool,
}

impl TokenServer {
    /// Asks by the data plane's connections, or by others of its kind where another server is to be asked.
    pub fn new(pool: &Pool, source: OwnerSource, settings: &UpstreamSettings) -> Result<Self, UpstreamError> {
        let asking = match &source {
            OwnerSource::Asked { url, .. } => match url.origin() {
                Some(origin) => {
                    Pool::new(UpstreamSettings { url: origin.clone(), ..settings.clone() }, pool.meter())?
                }
                None => pool.clone(),
            },
            OwnerSource::Username | OwnerSource::Jwt(_) | OwnerSource::Response(_) => pool.clone(),
        };
        Ok(Self { pool: pool.clone(), source, asking })
    }

    async fn ask(
        &self,
        question: &Question,
        url: &EndpointUrl,
        token: &str,
        asked: &HeaderMap,
    ) -> Result<Value, OwnerError> {
        let request = question.request(url, token, asked, self.asking.url().authority())?;
        let answer = TokenUpstream::send(&self.asking, request).await.map_err(OwnerError::Unreachable)?;
        if answer.status() != StatusCode::OK {
            return Err(OwnerError::NotTold("the upstream does not answer 200"));
        }
        if answer.headers().contains_key(CONTENT_ENCODING) {
            return Err(OwnerError::NotTold("the upstream's answer has a Content-Encoding"));
        }
        let document: Value = serde_json::from_slice(answer.body()).map_err(|_| ClaimFault::NotJson)?;
        if matches!(question, Question::Introspection(_))
            && document.get("active") != Some(&Value::Bool(true))
        {
            return Err(OwnerError::NotTold("the upstream calls the token inactive (RFC 7662 section 2.2)"));
        }
        Ok(document)
    }
}

impl TokenUpstream for TokenServer {
    fn send(&self, request: Request<Bytes>) -> impl Future<Output = Result<UpstreamAnswer, UpstreamFault>> {
        TokenUpstream::send(&self.pool, request)
    }
}

impl TokenOwner for TokenServer {
    fn tells_owners(&self) -> bool {
        !matches!(self.source, OwnerSource::Username)
    }

    async fn owner(&self, answer: &UpstreamAnswer, asked: &HeaderMap) -> Result<SubjectId, OwnerError> {
        let token = || {
            IssuedTokens::read(answer.headers(), answer.body())
                .access_token
                .ok_or(OwnerError::NotTold("the answer has no access token where one should stand"))
        };
        match &self.source {
            OwnerSource::Username => Err(OwnerError::NotTold("subjects are found by user name")),
            OwnerSource::Asked { question, url, pointer } => {
                let document = self.ask(question, url, token()?.expose(), asked).await?;
                Ok(subject_at(&document, pointer)?)
            }
            OwnerSource::Jwt(pointer) => Ok(subject_of_jwt(token()?.expose(), pointer)?),
            OwnerSource::Response(pointer) => {
                let document = serde_json::from_slice(answer.body()).map_err(|_| ClaimFault::NotJson)?;
                Ok(subject_at(&document, pointer)?)
            }
        }
    }
}

impl Question {
    /// The request; the upstream is told who asked for the token as it was told when it issued it, for there may be
    /// several sites behind it.
    fn request(
        &self,
        url: &EndpointUrl,
        token: &str,
        asked: &HeaderMap,
        authority: &HeaderValue,
    ) -> Result<Request<Bytes>, OwnerError> {
        let mut request = Request::new(Bytes::new());
        let target = url.target(token).ok_or(OwnerError::NotTold("the token does not fit into a URL"))?;
        *request.uri_mut() = target;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let host = if url.origin().is_none() {
            copy_forwarded(asked, headers);
            asked.get(HOST).unwrap_or(authority)
        } else {
            authority
        };
        headers.insert(HOST, host.clone());
        match self {
            Self::TokenInfo => {}
            Self::Userinfo => {
                headers.insert(AUTHORIZATION, authorization(&Secret::new(format!("Bearer {token}")))?);
            }
            Self::Introspection(client) => {
                if let Some(client) = client {
                    headers.insert(AUTHORIZATION, authorization(&client.basic())?);
                }
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
                let mut form = form_urlencoded::Serializer::new(String::new());
                form.append_pair("token", token).append_pair("token_type_hint", "access_token");
                *request.body_mut() = form.finish().into();
                *request.method_mut() = Method::POST;
            }
        }
        Ok(request)
    }
}

/// A header that no log shows.
fn authorization(value: &Secret<String>) -> Result<HeaderValue, OwnerError> {
    let mut value = HeaderValue::from_str(value.expose())
        .map_err(|_| OwnerError::NotTold("the token does not fit into a header"))?;
    value.set_sensitive(true);
    Ok(value)
}
