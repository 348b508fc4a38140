//! Secrets that lie in files of their own, as Kubernetes mounts them.

use std::{fs, path::Path};

use crate::types::Secret;

/// Bytes of such a secret.
const SECRET_BYTES_MAX: usize = 1024;

/// Reads the one line of a file; the line end is no part of it.
pub(super) fn read(path: &Path) -> Result<Secret<String>, String> {
    let text = match fs::read_to_string(path) {
        Ok(text) => Secret::new(text),
        Err(error) => return Err(format!("must be a file that can be read ({error})")),
    };
    let secret = text.expose().trim_end_matches(['\r', '\n']);
    if (1..=SECRET_BYTES_MAX).contains(&secret.len()) && !secret.chars().any(char::is_control) {
        Ok(Secret::new(secret.to_owned()))
    } else {
        Err("must be a file that holds the secret on one line of 1 to 1024 bytes".into())
    }
}
