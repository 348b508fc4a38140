//! An issued token, held back.

use super::{Orphans, OwnerError, TokenOrigin, TokenOwner, UpstreamAnswer};
use crate::{policy::Clearance, types::SubjectId};

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
