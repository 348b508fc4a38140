//! A client of the gateway's own at the server: its name, and its secret in a file, as Kubernetes mounts them.

use std::{fs::File, io::Read as _, path::Path};

use crate::types::Secret;

/// Bytes of such a secret.
const SECRET_BYTES_MAX: usize = 1024;

/// Bytes of a client's name.
const CLIENT_ID_BYTES_MAX: usize = 1024;

/// A client's name (RFC 6749 appendix A.1).
pub(super) fn client_id(text: &str) -> Result<String, String> {
    let fits =
        (1..=CLIENT_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b));
    if fits { Ok(text.to_owned()) } else { Err("must be 1 to 1024 printable ASCII characters".into()) }
}

/// Reads the one line of a file; the line end is no part of it.
pub(super) fn secret(path: &Path) -> Result<Secret<String>, String> {
    let unreadable = |error: std::io::Error| format!("must be a file that can be read ({error})");
    // One byte more than may be, and two for the line end.
    let bound = SECRET_BYTES_MAX as u64 + 3;
    let text = match std::io::read_to_string(File::open(path).map_err(unreadable)?.take(bound)) {
        Ok(read) => Secret::new(read),
        Err(error) => return Err(unreadable(error)),
    };
    let secret = text.expose().trim_end_matches(['\r', '\n']);
    if (1..=SECRET_BYTES_MAX).contains(&secret.len()) && !secret.chars().any(char::is_control) {
        Ok(Secret::new(secret.to_owned()))
    } else {
        Err("must be a file that holds the secret on one line of 1 to 1024 bytes".into())
    }
}
