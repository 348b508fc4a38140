//! What the gateway asks the upstream on its own account, away from the data plane.

use std::time::Duration;

use super::{ClientTls, Destination, UpstreamSettings, UpstreamUrl};

/// How long the upstream may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A client for questions of the gateway's own.
#[derive(Debug, Clone)]
pub struct BackChannel {
    client: reqwest::Client,
    url: String,
}

impl BackChannel {
    /// A client for the upstream.
    pub fn new(upstream: &UpstreamSettings) -> Result<Self, reqwest::Error> {
        let client = client_of(&upstream.url, upstream.tls.as_ref()).timeout(TIMEOUT).build()?;
        Ok(Self { client, url: upstream.url.origin() })
    }

    /// Whether the upstream answers at all; any status will do.
    pub async fn ping(&self) -> Result<(), reqwest::Error> {
        self.client.head(&self.url).send().await.map(drop)
    }
}

/// A client that reaches a server as the data plane does. It follows no redirect, which might lead a token to somebody
/// else, and uses no proxy of the environment.
pub(super) fn client_of(server: &UpstreamUrl, tls: Option<&ClientTls>) -> reqwest::ClientBuilder {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    match (server.destination(), tls) {
        (Destination::Unix(path), _) => client.unix_socket(path),
        (Destination::Tcp(..), Some(tls)) => client.tls_backend_preconfigured(tls.config().as_ref().clone()),
        (Destination::Tcp(..), None) => client,
    }
}
