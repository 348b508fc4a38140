//! The file that holds the sealing keys: `{"current": "<id>", "keys": {"<id>": "<base64 of 32 bytes>"}}`.
//!
//! Invariants: a file that others can read is refused; a file is never half written, and no key is lost
//! when two processes add one at once; no error repeats what is in it.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fs::{self, File, Metadata},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::fs::{Access, AtFlags, CWD, FlockOperation, OFlags, accessat, flock};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    sealing::{KEY_BYTES, KeyId, KeyRing, SealingError},
    step_up::StoreError,
    types::{Secret, UnixTime},
};

/// Bytes of a key file that are read: some 200 keys.
const FILE_BYTES_MAX: u64 = 16 * 1024;
/// How often a key file is read again, at most, because a record names a key that is not known.
const REREAD_INTERVAL: Duration = Duration::from_secs(1);

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It is not there.
    #[error(
        "the key file {path} does not exist; restore it from its copy, or, if nothing was ever sealed, make it \
         with `tfa-gateway keys generate`",
        path = path.display()
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Others can read it.
    #[error(
        "the key file {path} has mode {mode:04o}, so that others can read it; it must be 0600: run `chmod 600 {path}`, \
         and if others may have read it, `tfa-gateway keys generate`",
        path = path.display()
    )]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It cannot be read or written.
    #[error("the key file {path} cannot be used", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It holds something else.
    #[error("the key file {path} {rule}", path = path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What it should be.
        rule: &'static str,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    current: String,
    keys: BTreeMap<String, String>,
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.keys.values_mut().for_each(Zeroize::zeroize);
    }
}

/// Whether a file can be made in a directory.
pub(super) fn may_write_into(directory: &Path) -> io::Result<()> {
    let flags = AtFlags::EACCESS;
    Ok(accessat(CWD, directory, Access::WRITE_OK | Access::EXEC_OK, flags)?)
}

/// Whether a file can be written.
pub(super) fn may_write(file: &Path) -> io::Result<()> {
    Ok(accessat(CWD, file, Access::WRITE_OK, AtFlags::EACCESS)?)
}

/// Looks whether the keys can be used, and makes nothing. With `may_be_made`, they need not be there yet.
pub(super) fn inspect(path: &Path, may_be_made: bool) -> Result<(), KeyFileError> {
    match load(path) {
        Ok(_) => Ok(()),
        Err(KeyFileError::Missing { .. }) if may_be_made => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            may_write_into(parent.unwrap_or(Path::new("."))).map_err(io_error(path))
        }
        Err(error) => Err(error),
    }
}

/// Reads the keys.
pub fn load(path: &Path) -> Result<KeyRing, KeyFileError> {
    open(path).map(|(ring, _)| ring)
}

/// Adds a key, made of 256 random bits, and makes it the current one; makes the file if there is none.
/// Returns the new key's id.
pub fn generate(path: &Path, now: UnixTime) -> Result<KeyId, KeyFileError> {
    locked(path, |keys| {
        let (id, key) = random_key(now).map_err(io_error(path))?;
        let mut keys = keys.unwrap_or_else(|| Keys { current: String::new(), keys: BTreeMap::new() });
        keys.keys.insert(id.as_str().to_owned(), data_encoding::BASE64.encode(&*key));
        id.as_str().clone_into(&mut keys.current);
        write(path, &keys)?;
        Ok(id)
    })
}

/// Makes the file with a first key, unless there is one. Several processes may do so at once: they all go on
/// with the same.
pub fn create_if_absent(path: &Path, now: UnixTime) -> Result<(), KeyFileError> {
    if path.exists() {
        return Ok(());
    }
    locked(path, |keys| {
        if keys.is_some() {
            return Ok(());
        }
        let (id, key) = random_key(now).map_err(io_error(path))?;
        let text = data_encoding::BASE64.encode(&*key);
        let keys = BTreeMap::from([(id.as_str().to_owned(), text)]);
        write(path, &Keys { current: id.as_str().to_owned(), keys })
    })
}

/// A thread's keys. A record that names an unknown key makes it read the file again, so that a key which
/// was added while the gateway serves is found.
#[derive(Debug)]
pub(super) struct KeySource {
    path: PathBuf,
    ring: RefCell<KeyRing>,
    read: Cell<(Identity, Instant)>,
}

/// What tells one version of a file from another: inode, length, modification time.
type Identity = (u64, u64, i64, i64);

impl KeySource {
    pub(super) fn open(path: &Path) -> Result<Self, KeyFileError> {
        let (ring, identity) = open(path)?;
        Ok(Self {
            path: path.to_owned(),
            ring: RefCell::new(ring),
            read: Cell::new((identity, Instant::now())),
        })
    }

    /// Uses the keys.
    pub(super) fn with<T>(&self, work: impl FnOnce(&KeyRing) -> T) -> T {
        work(&self.ring.borrow())
    }

    /// Opens something, and tries once more where the file holds other keys by now.
    pub(super) fn opening<T>(
        &self,
        open: impl Fn(&KeyRing) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.with(&open) {
            Err(StoreError::Sealed { source, .. }) if self.reread_after(&source) => self.with(&open),
            other => other,
        }
    }

    /// Whether it is worth trying again after this error: the file holds other keys now.
    pub(super) fn reread_after(&self, error: &SealingError) -> bool {
        let SealingError::UnknownKey(_) = error else { return false };
        let (identity, read_at) = self.read.get();
        if read_at.elapsed() < REREAD_INTERVAL && self.is_unchanged(identity) {
            return false;
        }
        match open(&self.path) {
            Ok((ring, identity)) => {
                self.read.set((identity, Instant::now()));
                self.ring.replace(ring);
                true
            }
            Err(error) => {
                self.read.set((identity, Instant::now()));
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the key file could not be read again"
                );
                false
            }
        }
    }

    fn is_unchanged(&self, identity: Identity) -> bool {
        fs::metadata(&self.path).is_ok_and(|metadata| identify(&metadata) == identity)
    }
}

/// Flags of open(2), as the standard library takes them.
fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

fn identify(metadata: &Metadata) -> Identity {
    (metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

fn open(path: &Path) -> Result<(KeyRing, Identity), KeyFileError> {
    // Not to wait for whoever writes, should it be a pipe: that is found out next.
    let file = match fs::OpenOptions::new().read(true).custom_flags(flags(OFlags::NONBLOCK)).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(KeyFileError::Missing { path: path.to_owned() });
        }
        Err(error) => return Err(io_error(path)(error)),
    };
    let metadata = file.metadata().map_err(io_error(path))?;
    check(path, &metadata)?;
    let mut text = Zeroizing::new(String::new());
    io::Read::read_to_string(&mut io::Read::take(file, FILE_BYTES_MAX), &mut text).map_err(io_error(path))?;
    Ok((parse(path, &text)?, identify(&metadata)))
}

/// Refuses a file that anyone but its owner can read. Read permission for the group is let pass when the
/// file is another user's: that is how Kubernetes mounts a Secret for a process that is not root.
fn check(path: &Path, metadata: &Metadata) -> Result<(), KeyFileError> {
    if !metadata.is_file() {
        return Err(KeyFileError::Malformed { path: path.to_owned(), rule: "is not a regular file" });
    }
    let mode = metadata.permissions().mode() & 0o7777;
    let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
    let forbidden = if is_ours { 0o077 } else { 0o037 };
    if mode & forbidden != 0 {
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
    }
    Ok(())
}

fn parse(path: &Path, text: &str) -> Result<KeyRing, KeyFileError> {
    let fault = |rule| KeyFileError::Malformed { path: path.to_owned(), rule };
    let keys: Keys = serde_json::from_str(text)
        .map_err(|_| fault("must be JSON: {\"current\": \"<id>\", \"keys\": {\"<id>\": \"<base64>\"}}"))?;
    let mut current = None;
    let mut others = Vec::new();
    for (id, encoded) in &keys.keys {
        let parsed = KeyId::parse(id)
            .ok_or_else(|| fault("has a key whose id is not 1 to 32 of a-z, 0-9, '-' and '_'"))?;
        let decoded = Zeroizing::new(data_encoding::BASE64.decode(encoded.as_bytes()).unwrap_or_default());
        let key: [u8; KEY_BYTES] =
            decoded.as_slice().try_into().map_err(|_| fault("has a key that is not base64 of 32 bytes"))?;
        if *id == keys.current {
            current = Some((parsed, Secret::new(key)));
        } else {
            others.push((parsed, Secret::new(key)));
        }
    }
    let current = current.ok_or_else(|| fault("names a current key that is not among its keys"))?;
    Ok(KeyRing::new(current, others))
}

/// Works on the file under a lock of its own, which is a file beside it, for the file itself is replaced.
fn locked<T>(
    path: &Path,
    work: impl FnOnce(Option<Keys>) -> Result<T, KeyFileError>,
) -> Result<T, KeyFileError> {
    let lock_path = path.with_extension("keys.lock");
    let lock = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(flags(OFlags::NOFOLLOW))
        .open(&lock_path)
        .map_err(io_error(path))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|error| io_error(path)(error.into()))?;
    let keys = match open(path) {
        Err(KeyFileError::Missing { .. }) => None,
        Err(error) => return Err(error),
        Ok((ring, _)) => Some(Keys {
            current: ring.current_id().as_str().to_owned(),
            keys: ring
                .keys()
                .map(|(id, key)| (id.as_str().to_owned(), data_encoding::BASE64.encode(key.expose())))
                .collect(),
        }),
    };
    work(keys)
}

/// Writes beside the file, and renames: whoever reads meanwhile sees the old one or the new one.
fn write(path: &Path, keys: &Keys) -> Result<(), KeyFileError> {
    let text =
        Zeroizing::new(serde_json::to_string_pretty(keys).map_err(|error| io_error(path)(error.into()))?);
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let replaced = || -> io::Result<()> {
        let mut file =
            tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o600)).tempfile_in(directory)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        // Whoever adds a key as root must not take the file from the gateway's user.
        if let Ok(old) = fs::metadata(path)
            && let new = file.as_file().metadata()?
            && (old.uid(), old.gid()) != (new.uid(), new.gid())
        {
            fchown(file.as_file(), Some(old.uid()), Some(old.gid()))?;
        }
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(directory)?.sync_all()
    };
    replaced().map_err(io_error(path))
}

/// An id that says when, and 256 random bits.
fn random_key(now: UnixTime) -> io::Result<(KeyId, Zeroizing<[u8; KEY_BYTES]>)> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let mut suffix = [0; 4];
    getrandom::fill(&mut *key)?;
    getrandom::fill(&mut suffix)?;
    let id = format!("k{}-{}", now.as_secs(), data_encoding::HEXLOWER.encode(&suffix));
    let id = KeyId::parse(&id).ok_or(io::ErrorKind::InvalidData)?;
    Ok((id, key))
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> KeyFileError {
    move |source| KeyFileError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

    fn directory() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sealing.keys");
        (directory, path)
    }

    #[test]
    fn a_generated_key_becomes_current_and_older_ones_stay() {
        let (_directory, path) = directory();
        let first = generate(&path, NOW).unwrap();
        let second = generate(&path, NOW).unwrap();
        let ring = load(&path).unwrap();
        assert_eq!(ring.current_id(), &second);
        assert!(ring.keys().any(|(id, _)| *id == first));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_by_path_and_mode() {
        let (_directory, path) = directory();
        generate(&path, NOW).unwrap();
        for mode in [0o604, 0o640, 0o660, 0o602] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let said = load(&path).unwrap_err().to_string();
            assert!(said.contains(&format!("{mode:04o}")) && said.contains("chmod 600"), "{said}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        load(&path).unwrap();
    }

    #[test]
    fn a_missing_file_says_what_to_run() {
        let (_directory, path) = directory();
        let said = load(&path).unwrap_err().to_string();
        assert!(said.contains("tfa-gateway keys generate"), "{said}");
    }

    #[test]
    fn what_is_no_key_file_is_refused_without_being_shown() {
        let (_directory, path) = directory();
        for text in [
            "",
            "{}",
            "[]",
            "{\"current\":\"a\",\"keys\":{}}",
            "{\"current\":\"a\",\"keys\":{\"a\":\"c2hvcnQ=\"}}",
            "{\"current\":\"A\",\"keys\":{\"A\":\"c2hvcnQ=\"}}",
        ] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let said = load(&path).unwrap_err().to_string();
            assert!(!said.contains("c2hvcnQ"), "{said}");
        }
    }

    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let (_directory, path) = directory();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(load(&path).unwrap_err().to_string().contains("is not a regular file"));
    }

    #[test]
    fn keys_added_at_once_are_all_kept() {
        let (_directory, path) = directory();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| generate(&path, NOW).unwrap());
            }
        });
        assert_eq!(load(&path).unwrap().keys().count(), 8);
    }
}
