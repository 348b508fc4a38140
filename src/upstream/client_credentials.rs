//! The gateway's own client at the upstream.

use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::types::Secret;

/// A client that authenticates itself with a password (RFC 6749 section 2.3.1).
#[derive(Debug, Clone)]
pub struct ClientCredentials {
    /// Its identifier.
    pub client_id: String,
    /// Its password.
    pub client_secret: Secret<String>,
}

impl ClientCredentials {
    /// The value of `Authorization`: HTTP Basic, both parts encoded as a form first.
    pub fn basic(&self) -> Secret<String> {
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let secret = Zeroizing::new(encoded(self.client_secret.expose()));
        let pair = Zeroizing::new(format!("{}:{}", encoded(&self.client_id), *secret));
        Secret::new(format!("Basic {}", BASE64.encode(pair.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_are_encoded_as_a_form_first() {
        let client =
            ClientCredentials { client_id: "gate way".into(), client_secret: Secret::new("s:1".into()) };
        assert_eq!(*client.basic().expose(), format!("Basic {}", BASE64.encode(b"gate+way:s%3A1")));
    }
}
