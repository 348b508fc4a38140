//! How token requests are taken and sent on, where RFC 6749 leaves a choice to the site.

use super::request::Encoding;

/// `[token_endpoint]`, but for the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestRules {
    /// `multipart/form-data` is read, too, as PHP does.
    pub multipart: bool,
    /// How requests are encoded for the upstream.
    pub forward_as: ForwardAs,
    /// A request that names no client is answered `invalid_client` (RFC 6749 section 5.2).
    pub require_client: bool,
}

/// How a token request is encoded for the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardAs {
    /// As it came, save that multipart becomes a form.
    #[default]
    AsReceived,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `application/json`.
    Json,
}

impl ForwardAs {
    /// Reads what the configuration calls it.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "as-received" => Some(Self::AsReceived),
            "form" => Some(Self::Form),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    pub(super) const fn encoding(self, received: Encoding) -> Encoding {
        match self {
            Self::AsReceived => received,
            Self::Form => Encoding::Form,
            Self::Json => Encoding::Json,
        }
    }
}
