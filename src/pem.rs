//! Between layers 3 and 4: certificates in files, for whatever speaks TLS.

use std::path::Path;

use rustls::pki_types::{CertificateDer, pem::PemObject as _};

/// All certificates of a file in PEM, of which there must be one. The error says what is wrong with the file.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err("there is none in it".into()),
        Ok(found) => Ok(found),
        Err(error) => Err(error.to_string()),
    }
}
