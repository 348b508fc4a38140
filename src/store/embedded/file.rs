//! The file itself: whose it is, and whether it is still the one that was opened.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::EmbeddedOpenError;
use crate::step_up::StoreError;

/// The file that was opened.
#[derive(Debug, Clone)]
pub(super) struct StoreFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl StoreFile {
    /// The file at this path. Refuses one that others may write: whoever can, can take a person's factors away.
    ///
    /// It is looked at and not opened: closing it again would release this process's locks on it, which belong
    /// to the process and not to the descriptor (fcntl(2)).
    pub(super) fn at(path: &Path) -> Result<Self, EmbeddedOpenError> {
        let metadata =
            fs::metadata(path).map_err(|source| EmbeddedOpenError::Io { path: path.to_owned(), source })?;
        let mode = metadata.mode() & 0o7777;
        if mode & 0o022 != 0 {
            return Err(EmbeddedOpenError::Exposed { path: path.to_owned(), mode });
        }
        Ok(Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }

    /// Fails when another file lies there now. Whoever goes on with the old one would not see who is enrolled in
    /// the new one, and would not know which codes were used there.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match fs::metadata(&self.path) {
            Ok(now) if (now.dev(), now.ino()) == (self.device, self.inode) => Ok(()),
            Ok(_) => {
                Err(self.replaced(io::Error::other("it was replaced while it was open: restart the gateway")))
            }
            Err(error) => Err(self.replaced(error)),
        }
    }

    fn replaced(&self, source: io::Error) -> StoreError {
        tracing::error!(path = %self.path.display(), error = %source, "the embedded store's file is not the one that was opened");
        StoreError::Unreachable(source.into())
    }
}
