//! The files of a configuration, and whether they are still those that were read.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// A file that a configuration depends on, as it looked from outside before it was read: a change while it is read, or
/// at any time after, is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedFile {
    path: PathBuf,
    seen: Option<Seen>,
}

/// Of which file of which disk, how long, and of when.
type Seen = (u64, u64, u64, i64, i64);

impl WatchedFile {
    /// As it looks now; a file that is not there is watched, too.
    pub fn look(path: PathBuf) -> Self {
        let seen = std::fs::metadata(&path)
            .map(|found| (found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
            .ok();
        Self { path, seen }
    }

    /// The same file, as it looks now.
    #[must_use]
    pub fn again(&self) -> Self {
        Self::look(self.path.clone())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_comes_changes_or_goes_is_another_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let absent = WatchedFile::look(path.clone());
        assert_eq!(absent.again(), absent);
        std::fs::write(&path, "one").unwrap();
        let one = absent.again();
        assert_ne!(one, absent);
        std::fs::write(&path, "other").unwrap();
        assert_ne!(one.again(), one);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(one.again(), absent);
    }
}
