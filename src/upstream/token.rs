//! Token requests, whose answers are read whole before anything is decided.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::{Pool, UpstreamBody, UpstreamError};
use crate::{
    headers::remove_from_response,
    step_up::{TokenUpstream, UpstreamAnswer, UpstreamFault},
    types::limits::TOKEN_ANSWER_BYTES_MAX,
};

impl TokenUpstream for Pool {
    async fn send(&self, request: Request<Bytes>) -> Result<UpstreamAnswer, UpstreamFault> {
        let answer = Self::send(self, request.map(UpstreamBody::full)).await?;
        let (mut head, body) = answer.into_parts();
        remove_from_response(&mut head.headers, false);
        // Read to the end even if the token will be withheld: its connection is used again.
        let whole = Limited::new(body, TOKEN_ANSWER_BYTES_MAX).collect();
        match tokio::time::timeout(self.response_timeout(), whole).await {
            Ok(Ok(body)) => Ok(UpstreamAnswer::from_parts(head, body.to_bytes())),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                Err(UpstreamFault::NotUnderstood("it is longer than 1 MiB"))
            }
            Ok(Err(error)) => Err(UpstreamFault::Unreachable(error)),
            Err(elapsed) => Err(UpstreamFault::TimedOut(elapsed.into())),
        }
    }
}

impl From<UpstreamError> for UpstreamFault {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::Timeout(_) => Self::TimedOut(error.into()),
            UpstreamError::Exhausted(_) => Self::Overloaded(error.into()),
            UpstreamError::Unreachable(_)
            | UpstreamError::ConnectTimeout(_)
            | UpstreamError::Broken(_)
            | UpstreamError::SlowUpload
            | UpstreamError::Tls(_) => Self::Unreachable(error.into()),
        }
    }
}
