//! From the start to the end of a process: what a service manager and a load balancer see.

use std::{
    os::unix::net::UnixDatagram,
    process::Command,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Instant,
};

use rustix::process::Signal;

use crate::support::{
    BINARY, Gateway, PATIENCE, Stage, StoreKind, TokenRequest, assert_token, end, exchange, free_port, get,
    lines, spawn,
};

#[test]
fn it_is_not_ready_any_more_before_it_takes_no_more() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    stage.config.set("listen.drain_delay_secs", "3600");
    stage.serve();
    let ready = || exchange(stage.gateway().admin(), &get("/readyz")).expect("an answer").status;
    assert_eq!(ready(), 200);
    stage.gateway().signal(Signal::TERM);
    let start = Instant::now();
    while ready() != 503 {
        assert!(start.elapsed() < PATIENCE, "it is still ready");
    }
    for _ in 0..3 {
        assert_token(&stage.send(&TokenRequest::password("bob", "hunter22")));
    }
    // Whoever cannot wait says so once more.
    stage.gateway().signal(Signal::TERM);
    assert!(stage.stop_gateway().contains("requests in flight may finish"));
}

#[test]
fn the_service_manager_is_told() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    let path = stage.config.dir().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("set");
    stage.config.set_env("NOTIFY_SOCKET", path.to_str().expect("UTF-8"));
    stage.serve();
    let told = || {
        let mut buffer = [0; 1000];
        let length = manager.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert_eq!(told(), "READY=1\n");
    stage.gateway().signal(Signal::HUP);
    let reloading = told();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(told(), "READY=1\n");
    stage.stop_gateway();
    assert_eq!(told(), "STOPPING=1\n");
}

#[test]
fn a_socket_that_was_handed_over_is_served() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    let alice = stage.enrol("alice");
    let port = free_port();
    // Nobody may bind what is configured: what was handed over goes first.
    stage.config.set_text("listen.address", "192.0.2.1:1");
    stage.config.set("listen.threads", "2");
    stage.config.write();
    let mut command = Command::new("systemd-socket-activate");
    command.arg("--listen").arg(format!("127.0.0.1:{port}")).arg(BINARY).arg("serve");
    command.arg("--config").arg(stage.config.dir().join("gateway.toml")).current_dir(stage.config.dir());
    let mut activator = spawn(&command);
    let said = lines(activator.stderr.take().expect("a pipe"));
    while !said.recv_timeout(PATIENCE).expect("it listens").contains("Listening on") {}
    let address = format!("127.0.0.1:{port}").parse().expect("an address");
    let send = |request: &TokenRequest| exchange(address, &request.bytes()).expect("an answer");
    assert_token(&send(&TokenRequest::alice().code(&alice.code())));
    assert_token(&send(&TokenRequest::password("bob", "hunter22")));
    end(&mut activator);
}

/// `HAProxy` before two gateways, which go and come back one after the other while clients ask without a pause.
#[test]
fn no_request_is_lost_in_a_rolling_restart_under_load() {
    let mut stage = Stage::prepared(StoreKind::Redis);
    let alice = stage.enrol("alice");
    stage.config.set("listen.drain_delay_secs", "2");
    let ports: Vec<(u16, u16)> = (0..2).map(|_| (free_port(), free_port())).collect();
    let start = |stage: &mut Stage, (public, private): (u16, u16)| {
        stage.config.set_text("listen.address", &format!("127.0.0.1:{public}"));
        stage.config.set_text("admin.address", &format!("127.0.0.1:{private}"));
        stage.config.serve()
    };
    let mut gateways: Vec<Gateway> = ports.iter().map(|ports| start(&mut stage, *ports)).collect();
    let front = free_port();
    let servers: String = ports.iter().enumerate().fold(String::new(), |all, (n, (public, private))| {
        all + &format!("  server g{n} 127.0.0.1:{public} check port {private} inter 200ms fall 1 rise 1\n")
    });
    let file = stage.config.dir().join("haproxy.cfg");
    let text = format!(
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n  retries 3\n\
         frontend site\n  bind 127.0.0.1:{front}\n  default_backend gateways\n\
         backend gateways\n  balance roundrobin\n  option httpchk GET /readyz\n  option redispatch\n{servers}"
    );
    std::fs::write(&file, text).expect("written");
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&file);
    let mut haproxy = spawn(&command);
    let address = format!("127.0.0.1:{front}").parse().expect("an address");
    let start_of = Instant::now();
    while std::net::TcpStream::connect(address).is_err() {
        assert!(start_of.elapsed() < PATIENCE, "HAProxy listens");
    }

    let (is_over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let bob = TokenRequest::password("bob", "hunter22").bytes();
    let wrong = TokenRequest::alice().code(&alice.wrong_code()).bytes();
    std::thread::scope(|scope| {
        for client in 0..4 {
            let (bob, wrong, is_over, served) = (&bob, &wrong, &is_over, &served);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let (request, expected) = if client == 3 { (wrong, 401) } else { (bob, 200) };
                    let answer = exchange(address, request);
                    let status = answer.as_ref().map(|answer| answer.status);
                    // Whatever happens here ends the test, once all threads have been told.
                    if status != Some(expected) {
                        is_over.store(true, Ordering::Relaxed);
                        panic!("{answer:?}");
                    }
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let so_many_more = |more: usize| {
            let until = served.load(Ordering::Relaxed) + more;
            let start = Instant::now();
            while served.load(Ordering::Relaxed) < until && !is_over.load(Ordering::Relaxed) {
                assert!(start.elapsed() < PATIENCE, "nothing is served any more");
                std::thread::yield_now();
            }
        };
        so_many_more(100);
        for ports in &ports {
            gateways.remove(0).stop();
            gateways.push(start(&mut stage, *ports));
            // HAProxy has to see that it is back before the other one goes.
            let back = Instant::now();
            while back.elapsed().as_millis() < 1000 && !is_over.load(Ordering::Relaxed) {
                so_many_more(1);
            }
        }
        so_many_more(100);
        is_over.store(true, Ordering::Relaxed);
    });
    end(&mut haproxy);
}
