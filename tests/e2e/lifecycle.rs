//! From the start to the end of a process: what a service manager and a load balancer see.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::{UnixDatagram, UnixStream},
    path::Path,
    process::Command,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use rustix::process::Signal;

use crate::support::{
    BINARY, Gateway, PATIENCE, Stage, StoreKind, TokenRequest, assert_token, end, exchange, free_port, get,
    lines, site::wait_until, spawn,
};

#[test]
fn it_is_not_ready_any_more_before_it_takes_no_more() {
    let mut stage = Stage::prepared(StoreKind::Embedded);
    stage.config.set("listen.drain_delay_secs", "3600");
    stage.serve();
    let ready = || exchange(stage.gateway().admin(), &get("/readyz")).expect("an answer").status;
    assert_eq!(ready(), 200);
    stage.gateway().signal(Signal::TERM);
    wait_until("it is not ready any more", || ready() == 503);
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

/// What `HAProxy` itself says of its server: `UP`, `DOWN`, or on its way to one of them.
fn state_at_haproxy(socket: &Path, server: &str) -> String {
    let mut said = String::new();
    let mut stream = UnixStream::connect(socket).expect("HAProxy's socket");
    stream.write_all(b"show stat\n").expect("asked");
    stream.read_to_string(&mut said).expect("answered");
    let place = format!("gateways,{server},");
    let line = said.lines().find(|line| line.starts_with(&place)).unwrap_or_else(|| panic!("{said}"));
    line.split(',').nth(17).expect("the column `status`").to_owned()
}

/// `HAProxy` before two gateways, which go and come back one after the other while clients ask without a pause.
#[test]
fn no_request_is_lost_in_a_rolling_restart_under_load() {
    let mut stage = Stage::prepared(StoreKind::Redis);
    let alice = stage.enrol("alice");
    // For as long as HAProxy takes to notice, whatever the machine does meanwhile: a second SIGTERM ends it.
    stage.config.set("listen.drain_delay_secs", "3600");
    let ports: Vec<(u16, u16)> = (0..2).map(|_| (free_port(), free_port())).collect();
    let start = |stage: &mut Stage, (public, private): (u16, u16)| {
        stage.config.set_text("listen.address", &format!("127.0.0.1:{public}"));
        stage.config.set_text("admin.address", &format!("127.0.0.1:{private}"));
        stage.config.serve()
    };
    let mut gateways: Vec<Gateway> = ports.iter().map(|ports| start(&mut stage, *ports)).collect();
    let front = free_port();
    let servers: String = ports.iter().enumerate().fold(String::new(), |all, (n, (public, private))| {
        all + &format!("  server g{n} 127.0.0.1:{public} check port {private} inter 200ms fall 2 rise 1\n")
    });
    let (file, socket) = (stage.config.dir().join("haproxy.cfg"), stage.config.dir().join("haproxy"));
    let text = format!(
        "global\n  stats socket {}\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  timeout check 5s\n\
         \x20 retries 3\n\
         frontend site\n  bind 127.0.0.1:{front}\n  default_backend gateways\n\
         backend gateways\n  balance roundrobin\n  option httpchk GET /readyz\n  option redispatch\n{servers}",
        socket.display()
    );
    std::fs::write(&file, text).expect("written");
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&file);
    let mut haproxy = spawn(&command);
    let address = format!("127.0.0.1:{front}").parse().expect("an address");
    wait_until("HAProxy listens", || std::net::TcpStream::connect(address).is_ok());
    let is = |server: &str, state: &str| state_at_haproxy(&socket, server) == state;
    for server in ["g0", "g1"] {
        wait_until("HAProxy knows both", || is(server, "UP"));
    }

    let is_over = AtomicBool::new(false);
    let (tell, answered) = mpsc::channel();
    let bob = TokenRequest::password("bob", "hunter22").bytes();
    let wrong = TokenRequest::alice().code(&alice.wrong_code()).bytes();
    std::thread::scope(|scope| {
        for client in 0..4 {
            let (bob, wrong, is_over, tell) = (&bob, &wrong, &is_over, tell.clone());
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
                    let _ = tell.send(client);
                }
            });
        }
        // The clients end with the test, however that ends.
        let _over = SetWhenDropped(&is_over);
        drop(tell);
        // From now on, so many are served for each client.
        let each_is_served = |times: usize| {
            let mut left = [times; 4];
            while answered.try_recv().is_ok() {}
            while left.iter().any(|left| *left > 0) {
                let client: usize = answered.recv_timeout(PATIENCE).expect("all is served");
                left[client] = left[client].saturating_sub(1);
            }
        };
        each_is_served(25);
        for (ports, server) in ports.iter().zip(["g0", "g1"]) {
            let gateway = gateways.remove(0);
            gateway.signal(Signal::TERM);
            wait_until("HAProxy sees it go", || is(server, "DOWN"));
            // What HAProxy had sent it by then is answered.
            each_is_served(2);
            gateway.stop();
            gateways.push(start(&mut stage, *ports));
            // HAProxy has to see that it is back before the other one goes.
            wait_until("HAProxy sees it come back", || is(server, "UP"));
            each_is_served(5);
        }
        each_is_served(25);
    });
    end(&mut haproxy);
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
