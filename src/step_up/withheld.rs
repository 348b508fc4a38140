//! An issued token, held back.

use super::{OwnerError, TokenOwner, UpstreamAnswer};
use crate::{policy::Clearance, types::SubjectId};

/// An upstream's answer that issues a token. Its bytes and headers come out only through
/// [`WithheldToken::release`].
pub struct WithheldToken(UpstreamAnswer);

impl std::fmt::Debug for WithheldToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WithheldToken([redacted])")
    }
}

impl WithheldToken {
    pub(super) const fn new(answer: UpstreamAnswer) -> Self {
        Self(answer)
    }

    /// Asks whose it is. The token goes to nobody but its issuer.
    pub(super) async fn owner(
        &self,
        owners: &impl TokenOwner,
        asked: &http::HeaderMap,
    ) -> Result<SubjectId, OwnerError> {
        owners.owner(&self.0, asked).await
    }

    /// Gives the answer, unchanged, for a clearance, which is spent.
    pub fn release(self, _clearance: Clearance) -> UpstreamAnswer {
        self.0
    }
}
