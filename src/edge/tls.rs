//! TLS on a listener of ours: its certificate, and whose client certificate was shown.
//!
//! Invariants: a client without a certificate is let in, and has no name; one that shows a certificate has it verified
//! to its root before its first request is read, or is not served; a key is never printed.

use std::{fmt, io, path::Path, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

/// Bytes of a name in a certificate; common names have 64 characters at most (RFC 5280 appendix A.1).
const NAME_BYTES_MAX: usize = 256;

/// How a listener speaks TLS.
#[derive(Clone)]
pub struct ServerTls(TlsAcceptor);

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls")
    }
}

/// What is wrong with the files, and with which one.
#[derive(Debug, thiserror::Error)]
pub enum ServerTlsFault {
    /// The certificate chain.
    #[error("must be a file with certificates in PEM, the gateway's own first ({0})")]
    Certificate(String),
    /// Its key.
    #[error("must be a file with the private key of the certificate in PEM, without a passphrase ({0})")]
    Key(String),
    /// The authorities of clients.
    #[error("must be a file with certificates of authorities in PEM ({0})")]
    ClientCa(String),
}

impl ServerTls {
    /// Reads the files. With `client_ca`, clients may show a certificate that one of its authorities has signed.
    pub fn load(certificate: &Path, key: &Path, client_ca: Option<&Path>) -> Result<Self, ServerTlsFault> {
        let chain = certificates(certificate).map_err(ServerTlsFault::Certificate)?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(|e| ServerTlsFault::Key(e.to_string()))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| ServerTlsFault::Certificate(e.to_string()))?;
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let mut roots = RootCertStore::empty();
                for root in certificates(file).map_err(ServerTlsFault::ClientCa)? {
                    roots.add(root).map_err(|e| ServerTlsFault::ClientCa(e.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .allow_unauthenticated()
                    .build()
                    .map_err(|e| ServerTlsFault::ClientCa(e.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config =
            builder.with_single_cert(chain, key).map_err(|e| ServerTlsFault::Key(e.to_string()))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// The handshake.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.0.accept(stream).await
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err("there is none in it".into()),
        Ok(found) => Ok(found),
        Err(error) => Err(error.to_string()),
    }
}

/// The name in a client certificate that was verified; an extension of each request of its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientName(Arc<str>);

impl ClientName {
    /// The common name; without one, the first alternative name that is a text.
    pub(super) fn of(stream: &TlsStream<TcpStream>) -> Option<Self> {
        let (_, connection) = stream.get_ref();
        let name = name_in(connection.peer_certificates()?.first()?);
        if name.is_none() {
            tracing::warn!("a client certificate has no name that can be shown; it counts for nothing");
        }
        name.map(|name| Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn name_in(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    let mut common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    if let Some(name) = common.find(|name| is_legible(name)) {
        return Some(name.to_owned());
    }
    let alternatives = certificate.subject_alternative_name().ok()??;
    let texts = alternatives.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => Some(*text),
        _ => None,
    });
    texts.into_iter().find(|text| is_legible(text)).map(str::to_owned)
}

/// It stands in the log and in the audit trail.
fn is_legible(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
}
