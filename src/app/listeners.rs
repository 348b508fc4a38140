//! The listeners: bound here, or handed over by a service manager (systemd's socket activation, `sd_listen_fds(3)`).

use std::{io, net::TcpListener};

use listenfd::ListenFd;

use super::{Addresses, AppError};
use crate::{
    config::Settings,
    edge::listener::{self, Backlog},
};

/// All listeners, before anybody is served.
pub(super) struct Listeners {
    /// One for each data-plane thread.
    pub(super) gateway: Vec<TcpListener>,
    /// Whose the connections are that wait at them.
    pub(super) backlog: Backlog,
    /// The private one.
    pub(super) admin: TcpListener,
    /// Where they are.
    pub(super) addresses: Addresses,
}

impl Listeners {
    /// The first listener that was handed over is the public one, and the second the private one; what was not handed
    /// over is bound.
    pub(super) fn open(settings: &Settings) -> Result<Self, AppError> {
        let mut handed_over = ListenFd::from_env();
        let (gateway, backlog) = match handed_over.take_tcp_listener(0)? {
            Some(listener) => (shared(listener, settings.threads)?, Backlog::Inherited),
            None => (bound(settings)?, Backlog::Own),
        };
        let admin = match handed_over.take_tcp_listener(1)? {
            Some(listener) => shared(listener, 1)?.remove(0),
            None => listener::bind_alone(settings.admin_address).map_err(|source| AppError::Listen {
                key: "admin.address",
                address: settings.admin_address,
                source,
            })?,
        };
        let addresses = Addresses { gateway: gateway[0].local_addr()?, admin: admin.local_addr()? };
        Ok(Self { gateway, backlog, admin, addresses })
    }
}

/// One socket that all threads accept from.
fn shared(listener: TcpListener, threads: usize) -> io::Result<Vec<TcpListener>> {
    listener.set_nonblocking(true)?;
    let mut listeners = vec![listener];
    for _ in 1..threads {
        listeners.push(listeners[0].try_clone()?);
    }
    Ok(listeners)
}

/// A socket of its own for each thread.
fn bound(settings: &Settings) -> Result<Vec<TcpListener>, AppError> {
    let refused = |address| move |source| AppError::Listen { key: "listen.address", address, source };
    let first = listener::bind_first(settings.listen_address).map_err(refused(settings.listen_address))?;
    // Port 0 has become a port by now, and all threads share it.
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..settings.threads {
        listeners.push(listener::bind_shared(address).map_err(refused(address))?);
    }
    Ok(listeners)
}
