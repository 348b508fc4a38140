//! An issued token, held back.

use super::{Orphan, OrphanClient, Orphans, OwnerError, TokenOwner, UpstreamAnswer};
use crate::{oauth::IssuedTokens, policy::Clearance, types::SubjectId};

/// An upstream's answer that issues a token. Its bytes and headers come out only through
/// [`WithheldToken::release`]; one that is dropped instead, for whatever reason, is abandoned to the orphans.
pub struct WithheldToken<'a, O: Orphans> {
    answer: UpstreamAnswer,
    is_released: bool,
    orphans: &'a O,
    client: OrphanClient,
    host: Option<String>,
}

impl<O: Orphans> std::fmt::Debug for WithheldToken<'_, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WithheldToken([redacted])")
    }
}

impl<'a, O: Orphans> WithheldToken<'a, O> {
    pub(super) const fn new(
        answer: UpstreamAnswer,
        orphans: &'a O,
        client: OrphanClient,
        host: Option<String>,
    ) -> Self {
        Self { answer, is_released: false, orphans, client, host }
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
        self.is_released = true;
        std::mem::take(&mut self.answer)
    }
}

impl<O: Orphans> Drop for WithheldToken<'_, O> {
    fn drop(&mut self) {
        if self.is_released {
            return;
        }
        let issued = IssuedTokens::read(self.answer.headers(), self.answer.body());
        self.orphans.abandon(Orphan {
            access_token: issued.access_token,
            refresh_token: issued.refresh_token,
            client: std::mem::take(&mut self.client),
            host: self.host.take(),
        });
    }
}
