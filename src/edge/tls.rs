//! TLS on a listener of ours: its certificates, and whose client certificate was shown.
//!
//! Invariants: where clients need no certificate, one without is let in, and has no name; one that shows a certificate
//! has it verified to its root before its first request is read, or is not served; a key is never printed.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::CertifiedKey,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

use crate::pem::certificates;

/// Bytes of a name in a certificate; common names have 64 characters at most (RFC 5280 appendix A.1).
const NAME_BYTES_MAX: usize = 256;
/// How HTTP/2 is called in a handshake (RFC 9113 section 3.2).
const HTTP2: &[u8] = b"h2";
/// How HTTP/1.1 is.
const HTTP1: &[u8] = b"http/1.1";

/// A certificate and its key, in files.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// The chain in PEM, the certificate itself first.
    pub certificate: PathBuf,
    /// The private key in PEM.
    pub key: PathBuf,
}

/// Whether clients show certificates.
#[derive(Debug, Clone)]
pub enum ClientCertificates {
    /// They are not asked for one.
    Ignored,
    /// Who shows one that an authority in this file has signed has a name.
    Optional(PathBuf),
    /// Nobody else is served.
    Required(PathBuf),
}

/// How a listener speaks TLS: 1.2 and 1.3, and sessions are resumed by tickets.
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
    /// The certificate chain, with its place among the certificates.
    #[error("must be a file with certificates in PEM, the gateway's own first ({1})")]
    Certificate(usize, String),
    /// Its key.
    #[error("must be a file with the private key of the certificate in PEM, without a passphrase ({1})")]
    Key(usize, String),
    /// The authorities of clients.
    #[error("must be a file with certificates of authorities in PEM ({0})")]
    ClientCa(String),
}

impl ServerTls {
    /// Reads the files. A client is shown the certificate for the name that it asks for (RFC 6066 section 3), and the
    /// first one if there is none.
    pub fn load(
        files: &[CertificateFiles],
        clients: &ClientCertificates,
        with_http2: bool,
    ) -> Result<Self, ServerTlsFault> {
        let provider = Arc::new(ring::default_provider());
        let by_name = ByName::load(files, &provider)?;
        let unusable = |error: rustls::Error| ServerTlsFault::Certificate(0, error.to_string());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let builder = match clients {
            ClientCertificates::Ignored => builder.with_no_client_auth(),
            ClientCertificates::Optional(file) => {
                builder.with_client_cert_verifier(verifier(file, provider, false)?)
            }
            ClientCertificates::Required(file) => {
                builder.with_client_cert_verifier(verifier(file, provider, true)?)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(by_name));
        config.alpn_protocols =
            if with_http2 { vec![HTTP2.into(), HTTP1.into()] } else { vec![HTTP1.into()] };
        // Tickets hold what the client has shown, so that a new configuration comes with new keys for them.
        config.ticketer = ring::Ticketer::new().map_err(unusable)?;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// The handshake.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.0.accept(stream).await
    }

    /// Whether it agreed to HTTP/2.
    pub(super) fn is_http2(stream: &TlsStream<TcpStream>) -> bool {
        stream.get_ref().1.alpn_protocol() == Some(HTTP2)
    }
}

fn verifier(
    file: &Path,
    provider: Arc<CryptoProvider>,
    is_required: bool,
) -> Result<Arc<dyn ClientCertVerifier>, ServerTlsFault> {
    let mut roots = RootCertStore::empty();
    for root in certificates(file).map_err(ServerTlsFault::ClientCa)? {
        roots.add(root).map_err(|e| ServerTlsFault::ClientCa(e.to_string()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if is_required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|e| ServerTlsFault::ClientCa(e.to_string()))
}

/// The certificates, by the names that are in them.
#[derive(Debug)]
struct ByName {
    first: Arc<CertifiedKey>,
    others: BTreeMap<String, Arc<CertifiedKey>>,
}

impl ByName {
    fn load(files: &[CertificateFiles], provider: &CryptoProvider) -> Result<Self, ServerTlsFault> {
        let mut first = None;
        let mut others = BTreeMap::new();
        for (place, files) in files.iter().enumerate() {
            let chain =
                certificates(&files.certificate).map_err(|why| ServerTlsFault::Certificate(place, why))?;
            let names = chain.first().map(dns_names).unwrap_or_default();
            let key = PrivateKeyDer::from_pem_file(&files.key)
                .map_err(|e| ServerTlsFault::Key(place, e.to_string()))?;
            let certified = CertifiedKey::from_der(chain, key, provider)
                .map_err(|e| ServerTlsFault::Key(place, e.to_string()))?;
            let certified = Arc::new(certified);
            for name in names {
                others.entry(name).or_insert_with(|| Arc::clone(&certified));
            }
            first.get_or_insert(certified);
        }
        let first = first.ok_or_else(|| ServerTlsFault::Certificate(0, "there is none".into()))?;
        Ok(Self { first, others })
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        // A wildcard stands for one label (RFC 9525 section 6.3).
        let wildcard = || Some(format!("*.{}", name.split_once('.')?.1));
        self.others.get(&name).or_else(|| self.others.get(&wildcard()?))
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.find(name));
        Some(Arc::clone(named.unwrap_or(&self.first)))
    }
}

fn dns_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = parse_x509_certificate(certificate) else { return Vec::new() };
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = alternatives.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    names.collect()
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
