//! One revocation's record, as both stores keep it: JSON, with all that it holds sealed.
//!
//! Invariants: tokens, client credentials and host names are never in the clear at rest; a record opens for the
//! id that it was sealed for and for no other.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{envelope, key_file::KeySource};
use crate::{
    sealing::KeyRing,
    step_up::{Orphan, OrphanClient, Revocation, RevocationFault, RevocationId, StoreError},
    types::Secret,
};

/// What is sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content<'a> {
    access_token: Option<Text<'a>>,
    refresh_token: Option<Text<'a>>,
    authorization: Option<Text<'a>>,
    client_id: Option<Text<'a>>,
    client_secret: Option<Text<'a>>,
    host: Option<Text<'a>>,
}

type Text<'a> = std::borrow::Cow<'a, str>;

/// Seals a revocation for a store.
pub(super) fn seal(keys: &KeySource, revocation: &Revocation) -> Result<String, StoreError> {
    keys.with(|ring| seal_with(ring, revocation))
}

fn seal_with(ring: &KeyRing, revocation: &Revocation) -> Result<String, StoreError> {
    let Orphan { access_token, refresh_token, client, host } = &revocation.orphan;
    let content = Content {
        access_token: secret(access_token.as_ref()),
        refresh_token: secret(refresh_token.as_ref()),
        authorization: secret(client.authorization.as_ref()),
        client_id: client.client_id.as_deref().map(Text::from),
        client_secret: secret(client.client_secret.as_ref()),
        host: host.as_deref().map(Text::from),
    };
    let plain =
        Zeroizing::new(serde_json::to_vec(&content).map_err(|error| StoreError::Failed(error.into()))?);
    envelope::seal(ring, &associated_data(&revocation.id), &plain)
}

fn secret(secret: Option<&Secret<String>>) -> Option<Text<'_>> {
    secret.map(|secret| secret.expose().as_str().into())
}

/// Opens a record, with keys that were added since the key file was read, too.
pub(super) fn open(keys: &KeySource, id: &RevocationId, record: &[u8]) -> Result<Orphan, RevocationFault> {
    let attempt = || keys.with(|ring| open_with(ring, id, record));
    match attempt() {
        Err(RevocationFault::Sealed(source)) if keys.reread_after(&source) => attempt(),
        other => other,
    }
}

fn open_with(ring: &KeyRing, id: &RevocationId, record: &[u8]) -> Result<Orphan, RevocationFault> {
    let fault = RevocationFault::Malformed;
    let sealed = envelope::read(record).map_err(fault)?;
    let plain = ring.open(&associated_data(id), &sealed)?;
    let content: Content<'_> = serde_json::from_slice(plain.expose())
        .map_err(|_| fault("what is sealed must be what was sealed"))?;
    let secret = |text: Option<Text<'_>>| text.map(|text| Secret::new(text.into_owned()));
    Ok(Orphan {
        access_token: secret(content.access_token),
        refresh_token: secret(content.refresh_token),
        client: OrphanClient {
            authorization: secret(content.authorization),
            client_id: content.client_id.map(Text::into_owned),
            client_secret: secret(content.client_secret),
        },
        host: content.host.map(Text::into_owned),
    })
}

fn associated_data(id: &RevocationId) -> Vec<u8> {
    envelope::associated_data(&[b"tfa-gateway revocation v1", id.as_str().as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealing::{KEY_BYTES, KeyId};

    fn ring() -> KeyRing {
        KeyRing::new((KeyId::parse("k1").unwrap(), Secret::new([3; KEY_BYTES])), vec![])
    }

    #[test]
    fn a_revocation_opens_as_it_was_sealed_and_under_its_own_id_only() {
        let secret = |text: &str| Some(Secret::new(text.to_owned()));
        let orphan = Orphan {
            access_token: secret("at\"1"),
            refresh_token: None,
            client: OrphanClient {
                authorization: secret("Basic x"),
                client_id: Some("cli\\ent".into()),
                client_secret: secret("s3"),
            },
            host: Some("a.example".into()),
        };
        let id = RevocationId::from_random([1; 16]);
        let revocation = Revocation { id: id.clone(), orphan };
        let record = seal_with(&ring(), &revocation).unwrap();
        let opened = open_with(&ring(), &id, record.as_bytes()).unwrap();
        assert_eq!(opened.access_token.unwrap().expose(), "at\"1");
        assert!(opened.refresh_token.is_none());
        assert_eq!(opened.client.authorization.unwrap().expose(), "Basic x");
        assert_eq!(opened.client.client_id.as_deref(), Some("cli\\ent"));
        assert_eq!(opened.client.client_secret.unwrap().expose(), "s3");
        assert_eq!(opened.host.as_deref(), Some("a.example"));

        let other = RevocationId::from_random([2; 16]);
        assert!(open_with(&ring(), &other, record.as_bytes()).is_err());
        assert!(open_with(&ring(), &id, record.replace("k1", "k2").as_bytes()).is_err());
        assert!(open_with(&ring(), &id, b"{}").is_err());
    }
}
