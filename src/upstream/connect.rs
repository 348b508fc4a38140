//! A new connection to the upstream.

use std::io;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    task::{AbortHandle, spawn_local},
};
use tokio_rustls::TlsConnector;

use super::{ClientTls, Destination, UpstreamBody, UpstreamError, UpstreamUrl};

/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Opens connections to one upstream.
pub(super) struct Connector {
    url: UpstreamUrl,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Connector {
    /// Reads the system's certificate authorities when the upstream is `https` and no others were named.
    pub(super) fn new(url: UpstreamUrl, tls: Option<&ClientTls>) -> Result<Self, UpstreamError> {
        let tls = match url.destination() {
            Destination::Tcp(host, _) if url.is_tls() => {
                let name = ServerName::try_from(host.to_owned());
                let name = name.map_err(|error| UpstreamError::Tls(error.into()))?;
                let tls = match tls {
                    Some(tls) => tls.clone(),
                    None => ClientTls::load(None, None).map_err(|fault| UpstreamError::Tls(fault.into()))?,
                };
                Some((TlsConnector::from(tls.config()), name))
            }
            Destination::Tcp(..) | Destination::Unix(_) => None,
        };
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
        let unreachable = |error: io::Error| UpstreamError::Unreachable(error);
        let (host, port) = match self.url.destination() {
            Destination::Unix(path) => {
                return handshake(UnixStream::connect(path).await.map_err(unreachable)?, until_closed).await;
            }
            Destination::Tcp(host, port) => (host, port),
        };
        let stream = TcpStream::connect((host, port)).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        match &self.tls {
            None => handshake(stream, until_closed).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(unreachable)?;
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
