//! `[identity]`: whose a token is.

use std::path::Path;

use super::{client, reader::Reader};
use crate::{
    identity::Pointer,
    policy::AddressRule,
    upstream::{ClientCredentials, EndpointUrl, OwnerSource, Question},
};

/// What `identity.source` may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Username,
    Introspection,
    Userinfo,
    TokenInfo,
    Jwt,
    Response,
}

pub(super) fn addresses(reader: &mut Reader<'_>) -> AddressRule {
    let rule = reader.text("identity.addresses", |text| match text {
        "aliases" => Ok(AddressRule::Aliases),
        "names" => Ok(AddressRule::Names),
        _ => Err("must be aliases or names".into()),
    });
    rule.unwrap_or_default()
}

/// `None` when something that has no default is missing or faulty.
pub(super) fn source(reader: &mut Reader<'_>, base: &Path) -> Option<OwnerSource> {
    let source = reader.text("identity.source", |text| match text {
        "username" => Ok(Source::Username),
        "introspection" => Ok(Source::Introspection),
        "userinfo" => Ok(Source::Userinfo),
        "token-info" => Ok(Source::TokenInfo),
        "jwt" => Ok(Source::Jwt),
        "response" => Ok(Source::Response),
        _ => Err("must be username, introspection, userinfo, token-info, jwt or response".into()),
    });
    let source = source.unwrap_or(Source::Username);
    let url = reader.text("identity.url", |text| {
        EndpointUrl::parse(text).ok_or_else(|| {
            "must be a path on the upstream, such as /oauth2/introspect, or an http:// or https:// URL".into()
        })
    });
    let pointer = reader.text("identity.pointer", |text| {
        Pointer::parse(text).ok_or_else(|| "must be a JSON pointer (RFC 6901), such as /sub".into())
    });
    let client = own_client(reader, base);
    let (default_url, default_pointer) = source.defaults();
    if url.is_some() && default_url.is_none() {
        reader.contradiction("identity.url", "is of no use with this identity.source: nothing is asked");
    }
    if pointer.is_some() && source == Source::Username {
        reader.contradiction("identity.pointer", "is of no use with identity.source = \"username\"");
    }
    if client.is_some() && source != Source::Introspection {
        reader
            .contradiction("identity.client_id", "is of use with identity.source = \"introspection\" alone");
    }
    if source == Source::Response && pointer.is_none() {
        reader.contradiction("identity.pointer", "must be set, such as /user/name: it depends on the server");
    }
    let url = url.or_else(|| default_url.and_then(EndpointUrl::parse));
    if source == Source::TokenInfo && !url.as_ref().is_some_and(EndpointUrl::has_place_for_token) {
        reader.contradiction("identity.url", "must hold {token}, such as /oauth2/tokens/{token}");
    }
    if source == Source::Username {
        return Some(OwnerSource::Username);
    }
    let pointer = pointer.or_else(|| default_pointer.and_then(Pointer::parse))?;
    let question = match source {
        Source::Username => return Some(OwnerSource::Username),
        Source::Jwt => return Some(OwnerSource::Jwt(pointer)),
        Source::Response => return Some(OwnerSource::Response(pointer)),
        Source::Introspection => Question::Introspection(client),
        Source::Userinfo => Question::Userinfo,
        Source::TokenInfo => Question::TokenInfo,
    };
    Some(OwnerSource::Asked { question, url: url?, pointer })
}

impl Source {
    /// URL and pointer, where there is a usual one.
    const fn defaults(self) -> (Option<&'static str>, Option<&'static str>) {
        match self {
            Self::Introspection => (Some("/oauth2/introspect"), Some("/sub")),
            Self::Userinfo => (Some("/oauth2/userinfo"), Some("/sub")),
            Self::TokenInfo => (Some("/oauth2/tokens/{token}"), Some("/user_id")),
            Self::Jwt => (None, Some("/sub")),
            Self::Username | Self::Response => (None, None),
        }
    }
}

fn own_client(reader: &mut Reader<'_>, base: &Path) -> Option<ClientCredentials> {
    const ID: &str = "identity.client_id";
    const SECRET: &str = "identity.client_secret_file";
    let client_id = reader.text(ID, client::client_id);
    let client_secret = reader.file(SECRET, base, client::secret);
    match (reader.is_set(ID), reader.is_set(SECRET)) {
        (true, false) => reader.contradiction(SECRET, "must be set beside identity.client_id"),
        (false, true) => reader.contradiction(ID, "must be set beside identity.client_secret_file"),
        _ => {}
    }
    Some(ClientCredentials { client_id: client_id?, client_secret: client_secret? })
}
