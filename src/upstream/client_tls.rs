//! TLS to servers: whom the gateway trusts, and what it shows of itself.

use std::{fmt, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
};

use crate::pem::certificates;

/// How connections to `https` servers are made. Cheap to clone.
#[derive(Clone)]
pub struct ClientTls(Arc<ClientConfig>);

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

/// What is wrong, and with which file.
#[derive(Debug, thiserror::Error)]
pub enum ClientTlsFault {
    /// No file of authorities was named.
    #[error("the system has no certificate authorities (on Debian: apt-get install ca-certificates)")]
    NoAuthorities,
    /// The file of authorities.
    #[error("must be a file with certificates of authorities in PEM ({0})")]
    Ca(String),
    /// The gateway's own certificate.
    #[error("must be a file with certificates in PEM, the gateway's own first ({0})")]
    Certificate(String),
    /// Its key.
    #[error("must be a file with the private key of the certificate in PEM, without a passphrase ({0})")]
    Key(String),
}

impl ClientTls {
    /// Trusts the authorities in a file, or those of the system, and shows a certificate if it is given one, with its
    /// key.
    pub fn load(ca: Option<&Path>, own: Option<(&Path, &Path)>) -> Result<Self, ClientTlsFault> {
        let mut roots = RootCertStore::empty();
        if let Some(file) = ca {
            for root in certificates(file).map_err(ClientTlsFault::Ca)? {
                roots.add(root).map_err(|error| ClientTlsFault::Ca(error.to_string()))?;
            }
        } else {
            let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if added == 0 {
                return Err(ClientTlsFault::NoAuthorities);
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ClientTlsFault::Ca(error.to_string()))?
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate).map_err(ClientTlsFault::Certificate)?;
                let key = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| ClientTlsFault::Key(error.to_string()))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| ClientTlsFault::Key(error.to_string()))?
            }
        };
        Ok(Self(Arc::new(config)))
    }

    pub(super) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}
