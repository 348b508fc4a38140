//! With a clock that stands still: time passes when everything waits for it.

use std::{
    cell::RefCell,
    io,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use http_body_util::BodyExt as _;
use tokio::{
    io::{DuplexStream, ReadBuf, duplex},
    runtime::{Builder as RuntimeBuilder, LocalOptions},
    sync::watch,
    task::spawn_local,
    time::sleep,
};

use super::*;

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// More than a stream takes unread.
const LONG_BYTES: usize = 256 * 1024;

/// A stream that tells how much room it was last read with: a connection that rests has one byte.
struct Probe {
    inner: DuplexStream,
    room: Arc<AtomicUsize>,
    /// Its end hangs, as that of TLS does while the client reads nothing.
    hangs: Arc<AtomicBool>,
}

impl AsyncRead for Probe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.room.store(buf.remaining(), Relaxed);
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Probe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.hangs.load(Relaxed) {
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// A client and the connection that it has.
struct Stage {
    client: DuplexStream,
    room: Arc<AtomicUsize>,
    hangs: Arc<AtomicBool>,
    /// The targets that were asked for.
    asked: Rc<RefCell<Vec<String>>>,
    stop: watch::Sender<bool>,
}

impl Stage {
    /// Each request is answered with `ok` at once, and its body read as it comes, unless it is one for
    /// `/unread`; for `/long` the answer is long.
    fn set() -> Self {
        let (client, inner) = duplex(64 * 1024);
        let (stop, stopped) = watch::channel(false);
        let stage = Self { client, room: Arc::default(), hangs: Arc::default(), asked: Rc::default(), stop };
        let probe = Probe { inner, room: Arc::clone(&stage.room), hangs: Arc::clone(&stage.hangs) };
        let asked = Rc::clone(&stage.asked);
        spawn_local(async move {
            let settings = ListenSettings { header_timeout: HEAD_WITHIN, ..ListenSettings::default() };
            let address = "192.0.2.1:1".parse().unwrap();
            let peer = Peer { address, is_tls: false, is_unnamed: false };
            let service = move |request: Request<ClientBody>, _| {
                let target = request.uri().to_string();
                let text =
                    if target == "/long" { format!("{}ok", "x".repeat(LONG_BYTES)) } else { "ok".into() };
                if target != "/unread" {
                    spawn_local(request.into_body().collect());
                }
                asked.borrow_mut().push(target);
                async { Response::new(GatewayBody::from(Bytes::from(text))) }
            };
            serve(probe, peer, None, &settings, Ending::new(stopped), service).await;
        });
        stage
    }

    async fn send(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads an answer, and whatever came with it.
    async fn answer(&mut self) -> String {
        let mut text = String::new();
        while !text.ends_with("ok") {
            let mut piece = [0; 1024];
            let length = self.client.read(&mut piece).await.unwrap();
            assert_ne!(length, 0, "closed after {text:?}");
            text.push_str(std::str::from_utf8(&piece[..length]).unwrap());
        }
        text
    }

    async fn ask(&mut self) {
        self.send(GET).await;
        assert!(self.answer().await.starts_with("HTTP/1.1 200"));
    }

    async fn end(&mut self) -> String {
        let mut text = String::new();
        self.client.read_to_string(&mut text).await.unwrap();
        text
    }

    fn rests(&self) -> bool {
        self.room.load(Relaxed) == 1
    }
}

fn test(test: impl AsyncFnOnce(Stage)) {
    let runtime = RuntimeBuilder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build_local(LocalOptions::default());
    runtime.unwrap().block_on(async { test(Stage::set()).await });
}

#[test]
fn a_connection_that_waits_rests_and_serves_again() {
    test(async |mut stage| {
        for _ in 0..3 {
            stage.ask().await;
            assert!(!stage.rests());
            sleep(3 * LOOK_EVERY).await;
            assert!(stage.rests());
        }
        assert_eq!(stage.asked.borrow().len(), 3);
    });
}

#[test]
fn a_connection_rests_before_its_first_request_too() {
    test(async |mut stage| {
        sleep(3 * LOOK_EVERY).await;
        assert!(stage.rests());
        stage.ask().await;
    });
}

#[test]
fn one_that_is_idle_is_closed_without_a_word_and_one_whose_head_is_late_is_told() {
    test(async |mut stage| {
        let start = Instant::now();
        stage.ask().await;
        assert_eq!(stage.end().await, "");
        let took = start.elapsed();
        assert!(took >= HEAD_WITHIN && took <= HEAD_WITHIN + 2 * LOOK_EVERY, "{took:?}");
    });
    for pause in [Duration::ZERO, 3 * LOOK_EVERY] {
        test(async |mut stage| {
            let start = Instant::now();
            sleep(pause).await;
            stage.send(&GET[..10]).await;
            assert!(stage.end().await.starts_with("HTTP/1.1 408 "));
            let took = start.elapsed();
            assert!(took >= HEAD_WITHIN && took <= HEAD_WITHIN + 2 * LOOK_EVERY, "{took:?}");
            assert_eq!(*stage.asked.borrow(), [""; 0]);
        });
    }
}

#[test]
fn nothing_is_lost_of_what_came_with_the_request_before() {
    test(async |mut stage| {
        let (first, second) = GET.split_at(7);
        stage.send(&format!("{GET}{first}")).await;
        stage.answer().await;
        sleep(5 * LOOK_EVERY).await;
        stage.send(second).await;
        assert!(stage.answer().await.starts_with("HTTP/1.1 200"));
        assert_eq!(*stage.asked.borrow(), ["/", "/"]);
    });
}

/// Or else a client could have a request within a body, which nobody has judged.
#[test]
fn a_body_that_comes_after_its_answer_is_no_request() {
    test(async |mut stage| {
        let head = "POST /body HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000\r\n\r\n";
        stage.send(head).await;
        stage.answer().await;
        sleep(5 * LOOK_EVERY).await;
        assert!(!stage.rests());
        stage.send("GET /within HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        sleep(5 * LOOK_EVERY).await;
        assert!(!stage.rests());
        assert_eq!(*stage.asked.borrow(), ["/body"]);
    });
}

/// How slowly it may come is for whoever reads it to say.
#[test]
fn a_body_that_comes_after_its_answer_has_time_while_somebody_reads_it() {
    test(async |mut stage| {
        let length = 5 * HEAD_WITHIN.as_secs();
        stage.send(&format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n")).await;
        stage.answer().await;
        for _ in 0..length {
            assert!(!stage.rests());
            sleep(LOOK_EVERY).await;
            stage.send("x").await;
        }
        sleep(3 * LOOK_EVERY).await;
        assert!(stage.rests());
        stage.ask().await;
    });
}

#[test]
fn a_connection_whose_body_nobody_wants_ends_with_the_answer() {
    test(async |mut stage| {
        stage.send("POST /unread HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000\r\n\r\nx").await;
        stage.answer().await;
        assert_eq!(stage.end().await, "");
        assert_eq!(*stage.asked.borrow(), ["/unread"]);
    });
}

#[test]
fn after_a_body_too_a_connection_rests_and_a_late_head_is_told() {
    test(async |mut stage| {
        for body in ["Content-Length: 1\r\n\r\nx", "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"] {
            stage.send(&format!("POST / HTTP/1.1\r\nHost: a.test\r\n{body}")).await;
            stage.answer().await;
            sleep(3 * LOOK_EVERY).await;
            assert!(stage.rests());
        }
        stage.send(&GET[..10]).await;
        assert!(stage.end().await.starts_with("HTTP/1.1 408 "));
    });
}

/// A stop that comes while a connection shakes hands is not forgotten when that is done.
#[test]
fn a_stop_that_was_seen_before_still_ends_a_connection() {
    test(async |_| {
        let (stop, stopped) = watch::channel(false);
        let mut ending = Ending::new(stopped);
        let mut early = Box::pin(async move {
            tokio::select! {
                biased;
                () = ending.wait() => unreachable!("it has a second for its first request"),
                () = sleep(Duration::ZERO) => ending,
            }
        });
        stop.send(true).unwrap();
        let ending = early.as_mut().await;
        let start = Instant::now();
        ending.watch(std::future::pending()).wait().await;
        assert!(start.elapsed() <= Duration::from_secs(1));
    });
}

#[test]
fn a_stop_ends_a_connection_that_rests() {
    test(async |mut stage| {
        stage.ask().await;
        sleep(3 * LOOK_EVERY).await;
        assert!(stage.rests());
        let start = Instant::now();
        stage.stop.send(true).unwrap();
        assert_eq!(stage.end().await, "");
        assert_eq!(start.elapsed(), Duration::ZERO);
    });
}

/// Or else it would serve on, and whoever stops would wait for it.
#[test]
fn a_connection_whose_end_hangs_does_not_rest() {
    for closes in [false, true] {
        test(async |mut stage| {
            stage.hangs.store(true, Relaxed);
            if closes {
                stage.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await;
                stage.answer().await;
            } else {
                stage.ask().await;
                stage.stop.send(true).unwrap();
            }
            sleep(5 * LOOK_EVERY).await;
            assert!(!stage.rests());
            stage.send(GET).await;
            sleep(5 * LOOK_EVERY).await;
            assert_eq!(stage.asked.borrow().len(), 1);
        });
    }
}

#[test]
fn an_answer_that_is_read_slowly_arrives_whole() {
    test(async |mut stage| {
        stage.send("GET /long HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        let (mut length, mut piece) = (0, [0; 1024]);
        while length < LONG_BYTES {
            sleep(LOOK_EVERY).await;
            length += stage.client.read_exact(&mut piece).await.unwrap();
        }
        assert!(stage.answer().await.ends_with("ok"));
    });
}

/// Whoever had sent it would have to ask twice.
#[test]
fn a_request_that_comes_with_a_stop_is_answered_while_the_connection_rests() {
    test(async |mut stage| {
        stage.ask().await;
        sleep(3 * LOOK_EVERY).await;
        assert!(stage.rests());
        stage.stop.send(true).unwrap();
        stage.ask().await;
        assert_eq!(stage.end().await, "");
    });
}
