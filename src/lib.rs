//! tfa-gateway: a second factor in front of an OAuth2 server that has none.
