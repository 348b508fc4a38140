//! The request that revokes one token.

use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST},
};

use super::{RevocationClient, RevocationSettings, RevocationStyle};
use crate::{
    step_up::{Orphan, OrphanClient},
    types::Secret,
    upstream::ClientCredentials,
};

/// Which of the two a token is (RFC 7009 section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenType {
    Refresh,
    Access,
}

impl TokenType {
    pub(super) const fn hint(self) -> &'static str {
        match self {
            Self::Refresh => "refresh_token",
            Self::Access => "access_token",
        }
    }
}

/// The parts of one request.
pub(super) struct Parts {
    pub(super) method: http::Method,
    pub(super) url: Secret<String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Secret<String>,
}

/// The request that revokes `token`, which belongs to `orphan`.
pub(super) fn parts(
    settings: &RevocationSettings,
    orphan: &Orphan,
    token: &Secret<String>,
    token_type: TokenType,
) -> Parts {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(host) = settings.endpoint.host(orphan.host.as_deref()) {
        headers.insert(HOST, host);
    }
    let client = match &settings.client {
        RevocationClient::Same => orphan.client.clone(),
        RevocationClient::Own(own) => {
            OrphanClient { authorization: Some(own.basic()), ..OrphanClient::default() }
        }
    };
    match &settings.style {
        RevocationStyle::Rfc7009 => {
            let mut form = form_urlencoded::Serializer::new(String::with_capacity(256));
            form.append_pair("token", token.expose()).append_pair("token_type_hint", token_type.hint());
            // A client authenticates itself in one way only (RFC 6749 section 2.3).
            if client.authorization.is_none() {
                if let Some(client_id) = &client.client_id {
                    form.append_pair("client_id", client_id);
                }
                if let Some(client_secret) = &client.client_secret {
                    form.append_pair("client_secret", client_secret.expose());
                }
            }
            let media_type = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(CONTENT_TYPE, media_type);
            authorize(&mut headers, client.authorization.as_ref());
            Parts {
                method: http::Method::POST,
                url: settings.endpoint.url(token),
                headers,
                body: Secret::new(form.finish()),
            }
        }
        RevocationStyle::Request(method) => {
            let authorization = match (&client.authorization, &client.client_id, &client.client_secret) {
                (None, Some(client_id), Some(client_secret)) => {
                    let (client_id, client_secret) = (client_id.clone(), client_secret.clone());
                    Some(ClientCredentials { client_id, client_secret }.basic())
                }
                (authorization, ..) => authorization.clone(),
            };
            authorize(&mut headers, authorization.as_ref());
            Parts {
                method: method.clone(),
                url: settings.endpoint.url(token),
                headers,
                body: Secret::new(String::new()),
            }
        }
    }
}

fn authorize(headers: &mut HeaderMap, authorization: Option<&Secret<String>>) {
    let value = authorization.and_then(|value| HeaderValue::from_str(value.expose()).ok());
    if let Some(mut value) = value {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::{RevocationEndpoint, UpstreamUrl};

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    fn made(style: RevocationStyle, url: &str, client: RevocationClient, of: OrphanClient) -> Parts {
        let upstream = UpstreamUrl::parse("http://drupal:81").unwrap();
        let endpoint = RevocationEndpoint::parse(url, &style, &upstream).unwrap();
        let settings = RevocationSettings { style, endpoint, client };
        let token = secret("a/b+c=?");
        let host = Some("site.example".to_owned());
        let orphan = Orphan { access_token: Some(token.clone()), refresh_token: None, client: of, host };
        parts(&settings, &orphan, &token, TokenType::Access)
    }

    fn header(parts: &Parts, name: http::HeaderName) -> Option<&str> {
        parts.headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn rfc_7009_posts_the_token_in_a_form_with_the_clients_own_credentials() {
        let of = OrphanClient {
            authorization: Some(secret("Basic abc")),
            client_id: Some("c".into()),
            client_secret: Some(secret("s")),
        };
        let made = made(RevocationStyle::Rfc7009, "/oauth2/revoke", RevocationClient::Same, of);
        assert_eq!(
            (made.method.as_str(), made.url.expose().as_str()),
            ("POST", "http://drupal:81/oauth2/revoke")
        );
        assert_eq!(made.body.expose(), "token=a%2Fb%2Bc%3D%3F&token_type_hint=access_token");
        assert_eq!(header(&made, AUTHORIZATION), Some("Basic abc"));
        assert_eq!(header(&made, HOST), Some("site.example"));
    }

    #[test]
    fn a_client_of_the_form_authenticates_itself_in_the_form() {
        let of = OrphanClient {
            authorization: None,
            client_id: Some("c&d".into()),
            client_secret: Some(secret("s")),
        };
        let made = made(RevocationStyle::Rfc7009, "/r", RevocationClient::Same, of);
        assert!(made.body.expose().ends_with("&client_id=c%26d&client_secret=s"), "{}", made.body.expose());
        assert_eq!(header(&made, AUTHORIZATION), None);
    }

    #[test]
    fn a_request_of_the_sites_own_has_the_token_percent_encoded_in_its_url() {
        let style = RevocationStyle::Request(http::Method::DELETE);
        let of = OrphanClient {
            client_id: Some("c".into()),
            client_secret: Some(secret("s")),
            ..OrphanClient::default()
        };
        let made = made(style, "/oauth2/tokens/{token}", RevocationClient::Same, of);
        assert_eq!(made.method, http::Method::DELETE);
        assert_eq!(made.url.expose(), "http://drupal:81/oauth2/tokens/a%2Fb%2Bc%3D%3F");
        assert_eq!(header(&made, AUTHORIZATION), Some("Basic Yzpz"));
    }

    #[test]
    fn the_gateways_own_client_goes_to_a_server_of_its_own_without_the_sites_host() {
        let own = RevocationClient::Own(ClientCredentials {
            client_id: "gate way".into(),
            client_secret: secret("s:1"),
        });
        let of = OrphanClient { authorization: Some(secret("Basic abc")), ..OrphanClient::default() };
        let made = made(RevocationStyle::Rfc7009, "https://auth.example/r", own, of);
        let expected = format!("Basic {}", data_encoding::BASE64.encode(b"gate+way:s%3A1"));
        assert_eq!(header(&made, AUTHORIZATION), Some(expected.as_str()));
        assert_eq!(header(&made, HOST), None);
    }
}
