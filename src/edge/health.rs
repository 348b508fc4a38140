//! `/healthz`, `/readyz` and `/metrics`, on the private listener.

use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};

use super::GatewayBody;
use crate::{
    store::Store,
    telemetry::{METRICS_MEDIA_TYPE, Metrics},
    upstream::{BackChannel, ClientBody},
};

/// What the private listener asks.
pub struct Health {
    /// Is it there?
    pub store: Rc<Store>,
    /// Is the upstream there?
    pub upstream: BackChannel,
    /// What was counted?
    pub metrics: Metrics,
}

impl Health {
    /// Answers one request: `/healthz` says that the process runs, `/readyz` that it can do its work, and
    /// if not, what is missing. As with the API server of Kubernetes, `?exclude=` leaves out a check: what all gateways
    /// miss at once is no reason to take them all away.
    pub async fn answer(&self, request: &Request<ClientBody>, is_stopping: bool) -> Response<GatewayBody> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "GET only\n".into());
        }
        match request.uri().path() {
            "/healthz" => plain(StatusCode::OK, "ok\n".into()),
            "/readyz" if is_stopping => plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n".into()),
            "/readyz" => self.ready(request.uri().query().unwrap_or_default()).await,
            "/metrics" => self.metrics(),
            _ => plain(
                StatusCode::NOT_FOUND,
                "there are /healthz, /readyz, /metrics and, if somebody may call it, /api/v1/\n".into(),
            ),
        }
    }

    fn metrics(&self) -> Response<GatewayBody> {
        let Ok(text) = self.metrics.text() else {
            return plain(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n".into());
        };
        let mut response = plain(StatusCode::OK, text);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(METRICS_MEDIA_TYPE));
        response
    }

    async fn ready(&self, query: &str) -> Response<GatewayBody> {
        let (mut asks_store, mut asks_upstream) = (true, true);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match (&*name, &*value) {
                ("exclude", "store") => asks_store = false,
                ("exclude", "upstream") => asks_upstream = false,
                _ => {
                    return plain(
                        StatusCode::BAD_REQUEST,
                        "exclude=store and exclude=upstream only\n".into(),
                    );
                }
            }
        }
        let (store, upstream) =
            tokio::join!(async { if asks_store { self.store.ping().await } else { Ok(()) } }, async {
                if asks_upstream { self.upstream.ping().await } else { Ok(()) }
            },);
        let mut missing = String::new();
        if let Err(error) = store {
            tracing::warn!(error = &error as &dyn std::error::Error, "not ready: the store");
            missing.push_str("the store cannot be asked: nobody who gave a right password gets a token\n");
        }
        if let Err(error) = upstream {
            tracing::warn!(error = &error as &dyn std::error::Error, "not ready: the upstream");
            missing.push_str("the upstream does not answer\n");
        }
        if missing.is_empty() {
            return plain(StatusCode::OK, "ready\n".into());
        }
        plain(StatusCode::SERVICE_UNAVAILABLE, missing)
    }
}

fn plain(status: StatusCode, text: String) -> Response<GatewayBody> {
    let mut response = Response::new(GatewayBody::from(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
