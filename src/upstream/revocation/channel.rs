//! Asks the upstream to revoke, and judges its answers.

use std::time::Duration;

use http::StatusCode;

use super::{
    RevocationSettings,
    answer::{Verdict, judge},
    request::{TokenType, parts},
};
use crate::{
    step_up::{Orphan, RevocationId},
    types::Secret,
    upstream::{ClientTls, back_channel::client_of},
};

/// How long the upstream may take for one token.
const TIMEOUT: Duration = Duration::from_secs(10);
/// For how long a connection is kept for the next token.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// Bytes of a refusal that are looked at.
const REFUSAL_BYTES_MAX: usize = 4 * 1024;

/// The client that revokes.
#[derive(Debug, Clone)]
pub struct RevocationChannel {
    client: reqwest::Client,
    settings: RevocationSettings,
}

impl RevocationChannel {
    /// A client for the server that revokes.
    pub fn new(settings: RevocationSettings, tls: Option<&ClientTls>) -> Result<Self, reqwest::Error> {
        let client = client_of(settings.endpoint.server(), tls)
            .user_agent(concat!("tfa-gateway/", env!("CARGO_PKG_VERSION")))
            .timeout(TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build()?;
        Ok(Self { client, settings })
    }

    /// Asks for each token of an orphan, the refresh token first: it could be made into further access tokens.
    pub(super) async fn revoke(&self, id: &RevocationId, orphan: &Orphan) -> Verdict {
        let mut worst = Verdict::Done;
        for (token, token_type) in
            [(&orphan.refresh_token, TokenType::Refresh), (&orphan.access_token, TokenType::Access)]
        {
            let Some(token) = token else { continue };
            let verdict = self.revoke_one(id, orphan, token, token_type).await;
            worst = match (worst, verdict) {
                (Verdict::Again, _) | (_, Verdict::Again) => Verdict::Again,
                (Verdict::Unsupported, _) | (_, Verdict::Unsupported) => Verdict::Unsupported,
                (Verdict::Done, Verdict::Done) => Verdict::Done,
            };
        }
        worst
    }

    async fn revoke_one(
        &self,
        id: &RevocationId,
        orphan: &Orphan,
        token: &Secret<String>,
        token_type: TokenType,
    ) -> Verdict {
        let kind = token_type.hint();
        match self.ask(orphan, token, token_type).await {
            Ok((verdict, status)) => {
                match verdict {
                    Verdict::Done => {}
                    Verdict::Unsupported => {
                        tracing::warn!(%id, kind, "the upstream does not revoke tokens of this type");
                    }
                    Verdict::Again => {
                        tracing::warn!(%id, kind, %status, "the upstream did not revoke a withheld token");
                    }
                }
                verdict
            }
            // Its URL may hold the token.
            Err(error) => {
                let error = error.without_url();
                tracing::warn!(%id, kind, error = &error as &dyn std::error::Error,
                    "the upstream could not be asked to revoke a withheld token");
                Verdict::Again
            }
        }
    }

    async fn ask(
        &self,
        orphan: &Orphan,
        token: &Secret<String>,
        token_type: TokenType,
    ) -> Result<(Verdict, StatusCode), reqwest::Error> {
        let parts = parts(&self.settings, orphan, token, token_type);
        let mut request =
            self.client.request(parts.method, parts.url.expose().as_str()).headers(parts.headers);
        if !parts.body.expose().is_empty() {
            request = request.body(parts.body.expose().clone());
        }
        let mut response = request.send().await?;
        let status = response.status();
        let mut body = Vec::new();
        if status == StatusCode::BAD_REQUEST {
            while body.len() < REFUSAL_BYTES_MAX
                && let Some(chunk) = response.chunk().await?
            {
                body.extend_from_slice(&chunk);
            }
        }
        Ok((judge(&self.settings.style, status, &body), status))
    }
}
