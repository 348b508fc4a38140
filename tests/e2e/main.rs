//! The gateway as its clients meet it: the built binary between real stores and real OAuth2 servers.


mod cases;
mod parts;
mod support;
