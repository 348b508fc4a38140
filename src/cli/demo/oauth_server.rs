//! The demonstration's upstream: an OAuth2 server that knows two users, one client and one grant.
//!
//! It stands for the server that nobody can touch, and is of no other use.

use std::{convert::Infallible, net::SocketAddr, thread};

use bytes::Bytes;
use http::{
    Method, Request, Response, StatusCode,
    header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE},
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    runtime::{Builder, LocalOptions},
    task::spawn_local,
};

const USERS: [(&str, &str); 2] = [("alice", "passw0rd"), ("bob", "hunter22")];
/// `demo:demo`
const CLIENT: &str = "Basic ZGVtbzpkZW1v";

/// Starts it on a free port of loopback, on a thread of its own.
pub(super) fn start() -> std::io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    thread::Builder::new().name("demo-upstream".into()).spawn(move || {
        if let Err(error) = serve(listener) {
            tracing::error!(%error, "the demonstration's OAuth2 server ended");
        }
    })?;
    Ok(address)
}

fn serve(listener: std::net::TcpListener) -> std::io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            spawn_local(async move {
                // A client that breaks off is no concern of a demonstration.
                let _ =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
            });
        }
    })
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    if head.uri.path() != "/oauth2/token" {
        return Ok(reply(StatusCode::OK, &json!({ "hello": "from the server behind the gateway" })));
    }
    if head.method != Method::POST {
        return Ok(refusal(StatusCode::METHOD_NOT_ALLOWED, "invalid_request"));
    }
    if head.headers.get(AUTHORIZATION).is_none_or(|value| value != CLIENT) {
        return Ok(refusal(StatusCode::BAD_REQUEST, "invalid_client"));
    }
    let Ok(body) = Limited::new(body, 64 * 1024).collect().await else {
        return Ok(refusal(StatusCode::BAD_REQUEST, "invalid_request"));
    };
    let body = body.to_bytes();
    let parameter = |name: &str| {
        form_urlencoded::parse(&body).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    if parameter("grant_type").as_deref() != Some("password") {
        return Ok(refusal(StatusCode::BAD_REQUEST, "unsupported_grant_type"));
    }
    let known = USERS.iter().any(|(user, password)| {
        parameter("username").as_deref() == Some(user) && parameter("password").as_deref() == Some(password)
    });
    if !known {
        return Ok(refusal(StatusCode::UNAUTHORIZED, "invalid_grant"));
    }
    let mut random = [0; 20];
    if getrandom::fill(&mut random).is_err() {
        return Ok(refusal(StatusCode::INTERNAL_SERVER_ERROR, "server_error"));
    }
    let token = data_encoding::HEXLOWER.encode(&random);
    Ok(reply(StatusCode::OK, &json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600 })))
}

fn refusal(status: StatusCode, error: &str) -> Response<Full<Bytes>> {
    reply(status, &json!({ "error": error }))
}

fn reply(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}
