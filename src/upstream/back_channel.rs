//! What the gateway asks the upstream on its own account, away from the data plane.

use std::time::Duration;

/// How long the upstream may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A client for questions of the gateway's own.
#[derive(Debug, Clone)]
pub struct BackChannel {
    client: reqwest::Client,
    url: String,
}

impl BackChannel {
    /// A client for the upstream at `url`. It follows no redirect and uses no proxy of the environment.
    pub fn new(url: impl Into<String>) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()?;
        Ok(Self { client, url: url.into() })
    }

    /// Whether the upstream answers at all; any status will do.
    pub async fn ping(&self) -> Result<(), reqwest::Error> {
        self.client.head(&self.url).send().await.map(drop)
    }
}
