//! An issued token, held back.

use super::{Orphans, OwnerError, TokenOrigin, TokenOwner, UpstreamAnswer};
use crate::{
    oauth::IssuedTokens,
    policy::Clearance,
    types::{Secret, SubjectId},
};

/// An upstream's answer that issues a token. Its bytes and headers come out only through
/// [`WithheldToken::release`]; one that is dropped instead, for whatever reason, is abandoned to the orphans.
pub struct WithheldToken<'a, O: Orphans> {
    answer: UpstreamAnswer,
    orphans: &'a O,
    /// `None` when it was released, or nobody takes orphans in.
    origin: Option<TokenOrigin>,
}

impl<O: Orphans> std::fmt::Debug for WithheldToken<'_, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WithheldToken([redacted])")
    }
}

impl<'a, O: Orphans> WithheldToken<'a, O> {
    pub(super) const fn new(answer: UpstreamAnswer, orphans: &'a O, origin: Option<TokenOrigin>) -> Self {
        Self { answer, orphans, origin }
    }

    /// The refresh token in it, to be remembered by its digest.
    pub(super) fn refresh_token(&self) -> Option<Secret<String>> {
        IssuedTokens::read(self.answer.headers(), self.answer.body()).refresh_token
    }

    /// The scopes that were granted (RFC 6749 section 5.1), if the answer says so.
    pub(super) fn scopes(&self) -> Option<String> {
        IssuedTokens::read(self.answer.headers(), self.answer.body()).scope
    }

    /// Asks whose it is. The token goes to nobody but its issuer.
    pub(super) async fn owner(
        &self,
        owners: &impl TokenOwner,
        asked: &http::HeaderMap,
    ) -> Result<SubjectId, OwnerError> {
        owners.owner(&self.answer, asked).await
    }

    /// Gives the answer, unchanged, for a clearance, which is spent.
    pub fn release(mut self, _clearance: Clearance) -> UpstreamAnswer {
        self.origin = None;
        std::mem::take(&mut self.answer)
    }
}

impl<O: Orphans> Drop for WithheldToken<'_, O> {
    fn drop(&mut self) {
        if let Some(origin) = self.origin.take() {
            self.orphans.abandon(origin.orphan(&self.answer));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use bytes::Bytes;

    use super::*;
    use crate::step_up::{Orphan, OrphanClient};
    use crate::{
        factor::Presented,
        policy::{Enrolment, Need, need, rules::Verdict},
        types::UnixTime,
    };

    #[derive(Default)]
    struct Abandoned(RefCell<Vec<Orphan>>);

    impl Orphans for Abandoned {
        fn abandon(&self, orphan: Orphan) {
            self.0.borrow_mut().push(orphan);
        }
    }

    fn withheld<'a>(orphans: &'a Abandoned, body: &'static str) -> WithheldToken<'a, Abandoned> {
        let client = OrphanClient { client_id: Some("c".into()), ..OrphanClient::default() };
        let origin = TokenOrigin { client, host: Some("h".into()) };
        WithheldToken::new(UpstreamAnswer::new(Bytes::from(body)), orphans, Some(origin))
    }

    #[test]
    fn a_token_that_is_dropped_is_abandoned_with_its_client_and_host() {
        let orphans = Abandoned::default();
        drop(withheld(&orphans, r#"{"data":{"\u0061ccess_token":"a"},"refresh_token":"r"}"#));
        let all = orphans.0.take();
        let [orphan] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!(orphan.access_token.as_ref().map(|t| t.expose().as_str()), Some("a"));
        assert_eq!(orphan.refresh_token.as_ref().map(|t| t.expose().as_str()), Some("r"));
        assert_eq!((orphan.client.client_id.as_deref(), orphan.host.as_deref()), (Some("c"), Some("h")));
    }

    #[test]
    fn a_token_that_is_released_is_not_abandoned() {
        let orphans = Abandoned::default();
        let presented = Presented::from_header_values(std::iter::empty());
        let Need::Nothing(not_required) =
            need(Verdict::IfEnrolled, &Enrolment::Absent, &presented, UnixTime::default())
        else {
            panic!("a need")
        };
        let answer = withheld(&orphans, r#"{"access_token":"a"}"#).release(not_required.into());
        assert_eq!(answer.body(), r#"{"access_token":"a"}"#);
        assert!(orphans.0.take().is_empty());
    }
}
