//! Spans of requests, as a collector gets them: OTLP over HTTP.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
};

#[path = "e2e/support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "shared with the end-to-end tests, which need more of it"
)]
mod support;

use support::{PATIENCE, Stage, StoreKind, TokenRequest};

/// Takes one request, and answers it as a collector does. Returns its head and its body.
fn taken(listener: &TcpListener) -> (String, Vec<u8>) {
    let (mut stream, _) = listener.accept().expect("the gateway comes");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut received = Vec::new();
    let end = loop {
        if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        read(&mut stream, &mut received);
    };
    let head = String::from_utf8(received[..end].to_vec()).expect("UTF-8").to_ascii_lowercase();
    let (_, rest) = head.split_once("content-length: ").expect("a length");
    let length: usize = rest.split("\r\n").next().and_then(|text| text.parse().ok()).expect("a number");
    while received.len() < end + length {
        read(&mut stream, &mut received);
    }
    let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(answer).expect("answered");
    (head, received[end..].to_vec())
}

fn read(stream: &mut TcpStream, received: &mut Vec<u8>) {
    let mut buffer = [0; 16 * 1024];
    let n = stream.read(&mut buffer).expect("bytes");
    assert!(n > 0, "it ends too early");
    received.extend_from_slice(&buffer[..n]);
}

#[test]
fn a_span_of_each_request_is_exported_in_its_trace_and_holds_no_secret() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let collector = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = collector.local_addr().expect("bound");
    let mut stage = Stage::prepared(StoreKind::Embedded);
    stage.config.set_text("otlp.endpoint", &format!("http://{address}"));
    stage.serve();
    let traced = TokenRequest::password("bob", "hunter22")
        .header("traceparent", &format!("00-{TRACE}-b7ad6b7169203331-01"));
    assert_eq!(stage.send(&traced).status, 200);
    let (head, body) = std::thread::scope(|scope| {
        let received = scope.spawn(|| taken(&collector));
        // What waits is sent when the gateway ends.
        stage.stop_gateway();
        received.join().expect("no panic")
    });
    assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
    let holds = |bytes: &[u8]| body.windows(bytes.len()).any(|window| window == bytes);
    let trace: Vec<u8> =
        (0..16).map(|n| u8::from_str_radix(&TRACE[2 * n..2 * n + 2], 16).expect("hex")).collect();
    assert!(holds(&trace) && holds(b"tfa-gateway") && holds(b"http.response.status_code"), "{body:?}");
    for secret in ["hunter22", "bob", "testpass"] {
        assert!(!holds(secret.as_bytes()), "{secret}");
    }
}
