//! A connection that breaks in the way that a test wants.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

/// What happens to what the server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It arrives.
    None,
    /// So many bytes of it arrive, and then the end.
    CutAfter(usize),
    /// Something else arrives.
    Garbage,
    /// Nothing arrives, until there is another fault.
    Silence,
    /// It arrives in as many pieces as it has bytes.
    OneByteAtATime,
    /// It arrives so much later, or at once when there is another fault.
    Delay(Duration),
}

/// A way to a server, which stays when the server's own address goes.
pub(crate) struct Link {
    address: SocketAddr,
    fault: Arc<(Mutex<Fault>, Condvar)>,
}

impl Link {
    /// Leads to a server.
    pub(crate) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        let fault = Arc::new((Mutex::new(Fault::None), Condvar::new()));
        let shared = Arc::clone(&fault);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(server) else { continue };
                let (client_in, server_in) =
                    (client.try_clone().expect("cloned"), server.try_clone().expect("cloned"));
                thread::spawn(move || pump(client_in, server_in));
                let fault = Arc::clone(&shared);
                thread::spawn(move || answer(server, client, &fault));
            }
        });
        Self { address, fault }
    }

    /// Where it begins.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on.
    pub(crate) fn breaks(&self, fault: Fault) {
        *self.fault.0.lock().expect("no panic") = fault;
        self.fault.1.notify_all();
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

fn answer(mut server: TcpStream, mut client: TcpStream, (fault, changed): &(Mutex<Fault>, Condvar)) {
    let mut buffer = [0; 16 * 1024];
    let end = |client: &TcpStream, server: &TcpStream| {
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    };
    while let Ok(n @ 1..) = server.read(&mut buffer) {
        let now = *fault.lock().expect("no panic");
        let sent = match now {
            Fault::None => client.write_all(&buffer[..n]),
            Fault::CutAfter(bytes) => {
                let _ = client.write_all(&buffer[..n.min(bytes)]);
                return end(&client, &server);
            }
            Fault::Garbage => client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
            Fault::OneByteAtATime => buffer[..n].iter().try_for_each(|byte| client.write_all(&[*byte])),
            Fault::Delay(time) => {
                let now = fault.lock().expect("no panic");
                let waited = changed.wait_timeout_while(now, time, |now| matches!(now, Fault::Delay(_)));
                drop(waited.expect("no panic"));
                client.write_all(&buffer[..n])
            }
            Fault::Silence => {
                let held = changed.wait_while(fault.lock().expect("no panic"), |now| *now == Fault::Silence);
                drop(held.expect("no panic"));
                client.write_all(&buffer[..n])
            }
        };
        if sent.is_err() {
            break;
        }
    }
    end(&client, &server);
}
