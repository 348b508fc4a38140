//! A WebSocket through the gateway, once the upstream has agreed to it (RFC 9110 section 7.8).

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{io::copy_bidirectional, task::spawn_local};
use tracing::debug;

use crate::upstream::TunnelPlace;

/// Copies bytes both ways until one side ends, apart from the connection's own task: a drain does not wait
/// for tunnels. `place` is the tunnel's among the connections to the upstream.
pub(super) fn join(client: OnUpgrade, upstream: OnUpgrade, place: Option<TunnelPlace>) {
    spawn_local(async move {
        let _place = place;
        let (client, upstream) = match futures_util::future::try_join(client, upstream).await {
            Ok(both) => both,
            Err(error) => {
                debug!(error = &error as &dyn std::error::Error, "an upgrade was not completed");
                return;
            }
        };
        let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
        if let Err(error) = copy_bidirectional(&mut client, &mut upstream).await {
            debug!(%error, "a tunnel broke");
        }
    });
}
