//! What an upstream says, for servers that keep no record a test could read.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// Passes connections on to a server and keeps what the server said, when it was passed on.
pub(super) struct Wiretap {
    pub(super) address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Wiretap {
    pub(super) fn on(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let heard = Arc::<Mutex<Vec<u8>>>::default();
        let keep = Arc::clone(&heard);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let upstream = TcpStream::connect(server).expect("the server");
                let (from, to) = (client.try_clone().expect("a copy"), upstream.try_clone().expect("a copy"));
                thread::spawn(move || copy(&from, &to, None));
                let keep = Arc::clone(&keep);
                thread::spawn(move || copy(&upstream, &client, Some(&keep)));
            }
        });
        Self { address, heard }
    }

    fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().expect("no panic")).into_owned()
    }

    /// How often a member was passed on.
    pub(super) fn passed_on(&self, member: &str) -> usize {
        self.heard().matches(&format!("\"{member}\":\"")).count()
    }

    /// The value of a member of the JSON that was heard last.
    pub(super) fn last(&self, member: &str) -> String {
        let heard = self.heard();
        let (_, after) = heard.rsplit_once(&format!("\"{member}\":\"")).expect("a member");
        after.split('"').next().expect("a value").to_owned()
    }
}

fn copy(mut from: &TcpStream, mut to: &TcpStream, keep: Option<&Mutex<Vec<u8>>>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
        if let Some(keep) = keep {
            keep.lock().expect("no panic").extend_from_slice(&buffer[..read]);
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
