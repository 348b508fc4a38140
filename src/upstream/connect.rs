//! A new connection to the upstream.

use std::{io, sync::Arc};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::{AbortHandle, spawn_local},
};
use tokio_rustls::TlsConnector;

use super::{UpstreamBody, UpstreamError, UpstreamUrl};

/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Opens connections to one upstream.
pub(super) struct Connector {
    url: UpstreamUrl,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Connector {
    /// Reads the system's certificate authorities when the upstream is `https`.
    pub(super) fn new(url: UpstreamUrl) -> Result<Self, UpstreamError> {
        let tls = if url.is_tls() { Some(tls(&url)?) } else { None };
        Ok(Self { url, tls })
    }

    pub(super) const fn url(&self) -> &UpstreamUrl {
        &self.url
    }

    /// Connects; `until_closed` is dropped when the connection is. To abort the task is to close the
    /// connection at once.
    pub(super) async fn connect(
        &self,
        until_closed: impl Sized + 'static,
    ) -> Result<(SendRequest<UpstreamBody>, AbortHandle), UpstreamError> {
        let stream = TcpStream::connect((self.url.host(), self.url.port()))
            .await
            .map_err(UpstreamError::Unreachable)?;
        stream.set_nodelay(true).map_err(UpstreamError::Unreachable)?;
        match &self.tls {
            None => handshake(stream, until_closed).await,
            Some((connector, name)) => {
                let stream =
                    connector.connect(name.clone(), stream).await.map_err(UpstreamError::Unreachable)?;
                handshake(stream, until_closed).await
            }
        }
    }
}

async fn handshake<T>(
    stream: T,
    until_closed: impl Sized + 'static,
) -> Result<(SendRequest<UpstreamBody>, AbortHandle), UpstreamError>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| UpstreamError::Broken(error.into()))?;
    let task = spawn_local(async move {
        // Whoever waits for an answer on this connection is told the error itself.
        let _ = connection.with_upgrades().await;
        drop(until_closed);
    });
    Ok((sender, task.abort_handle()))
}

fn tls(url: &UpstreamUrl) -> Result<(TlsConnector, ServerName<'static>), UpstreamError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| UpstreamError::Tls(error);
    let loaded = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(loaded.certs);
    if added == 0 {
        let why = "the system has no certificate authorities (on Debian: apt-get install ca-certificates)";
        return Err(failed(io::Error::new(io::ErrorKind::NotFound, why).into()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.into()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(url.host().to_owned()).map_err(|error| failed(error.into()))?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}
