//! Names: of subjects and of their factors.

use std::{fmt, sync::Arc};

/// The resolved identity of a person, as `identity::fold_username` makes it from what was typed.
///
/// Two spellings that the upstream may take for one user are one `SubjectId`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectId(Arc<str>);

impl SubjectId {
    /// Wraps text that `identity` has folded; nothing else may call this.
    pub(crate) fn from_folded(folded: &str) -> Self {
        Self(Arc::from(folded))
    }

    /// The folded text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubjectId({:?})", &*self.0)
    }
}

/// The name of one factor of a subject: 1 to 32 of `a-z`, `0-9`, `-` and `_`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct FactorId(Box<str>);

/// Why a text is no [`FactorId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a factor id is 1 to 32 of a-z, 0-9, '-' and '_'")]
pub struct FactorIdFault;

impl FactorId {
    /// The id that a plain `totp_secret`, which a site's own code wrote, has as a factor.
    pub const PLAIN: &str = "plain";
    /// The longest id, in bytes.
    pub const BYTES_MAX: usize = 32;

    /// Accepts a text that keeps the rule of [`FactorId`].
    pub fn parse(text: &str) -> Result<Self, FactorIdFault> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        if text.is_empty() || text.len() > Self::BYTES_MAX || !text.bytes().all(allowed) {
            return Err(FactorIdFault);
        }
        Ok(Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FactorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
