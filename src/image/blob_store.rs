//! A directory of blobs, each under the digest of its bytes. This module knows bytes, not what they
//! mean.
//!
//! The layout is that of an OCI image layout's `blobs`. A blob appears under its name whole or not at
//! all: it is written under a temporary name, hashed on the way, and renamed. Nothing is synced to
//! the disk: a store lives as long as a build or can be filled again, and a machine that crashes
//! loses no more than time.
//!
//! A store can be lent blobs that lie elsewhere: they are found like its own, and never written to.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::NamedTempFile;
use thiserror::Error;

use super::digest::{Digest, DigestAlgorithm, DigestHasher};
use crate::fs::{PathContext, PathError};

/// Bytes gathered before they are hashed and written.
const BUFFER_BYTES: usize = 256 * 1024;

/// Why a blob was not stored.
#[derive(Debug, Error)]
pub enum BlobError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] PathError),
    /// The bytes are not those that were asked for.
    #[error("the blob should be `{expected}` but is `{found}`")]
    Mismatch {
        /// The digest asked for.
        expected: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
    /// Bytes for the store could not be read from elsewhere.
    #[error("cannot read the bytes of a blob")]
    Read(#[source] io::Error),
}

/// The store.
#[derive(Debug, Clone)]
pub struct BlobStore {
    /// Where the blobs are; their parents name the hash function.
    blobs_dir: PathBuf,
    /// Where blobs are written; on the same file system.
    temp_dir: PathBuf,
    /// Blobs that lie elsewhere.
    lent: Arc<Mutex<BTreeMap<Digest, LentBlob>>>,
}

/// Keeps a lent blob where it is for as long as this value lives.
pub type LentGuard = Arc<dyn Any + Send + Sync>;

/// A blob that lies elsewhere.
struct LentBlob {
    path: PathBuf,
    _guard: LentGuard,
}

impl fmt::Debug for LentBlob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(formatter)
    }
}

/// A blob that is in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBlob {
    /// Digest of the bytes.
    pub digest: Digest,
    /// How many they are.
    pub size: u64,
}

impl BlobStore {
    /// Opens the store in `dir`, which is made where it is missing. Its blobs are below
    /// `<dir>/blobs`, unfinished ones in `<dir>/tmp`.
    pub fn open(dir: &Path) -> Result<Self, PathError> {
        let store = Self {
            blobs_dir: dir.join("blobs"),
            temp_dir: dir.join("tmp"),
            lent: Arc::default(),
        };
        let dirs = [&store.blobs_dir.join("sha256"), &store.temp_dir];
        for dir in dirs {
            std::fs::create_dir_all(dir).on("create directory", dir)?;
        }
        Ok(store)
    }

    /// Makes a blob known that lies elsewhere, under a path that leads to exactly its bytes as long as `guard` lives.
    /// That is until the store is dropped, and all writers of it. One that is lent already stays as it is.
    pub fn lend(&self, digest: &Digest, path: &Path, guard: LentGuard) {
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        lent.entry(digest.clone()).or_insert_with(|| LentBlob {
            path: path.to_path_buf(),
            _guard: guard,
        });
    }

    /// Returns where the blob is, or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        match lent.get(digest) {
            Some(blob) => blob.path.clone(),
            None => self.own_path(digest),
        }
    }

    /// Returns where a blob is written.
    fn own_path(&self, digest: &Digest) -> PathBuf {
        let algorithm_dir = self.blobs_dir.join(digest.algorithm().name());
        algorithm_dir.join(digest.hex())
    }

    /// Returns a directory beside the blobs for what is thrown away again.
    pub fn temp_dir(&self) -> &Path {
        &self.temp_dir
    }

    /// Says whether the blob is there.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// Opens a blob for reading.
    pub fn read(&self, digest: &Digest) -> Result<File, PathError> {
        let path = self.path(digest);
        File::open(&path).on("open", &path)
    }

    /// Starts a blob that gets a SHA-256 digest. Any number may be written at a time, the same one too.
    pub fn writer(&self) -> Result<BlobWriter, PathError> {
        self.writer_with(DigestAlgorithm::Sha256)
    }

    /// Starts a blob whose digest is known, and taken with the hash function of that.
    pub fn writer_for(&self, expected: &Digest) -> Result<BlobWriter, PathError> {
        self.writer_with(expected.algorithm())
    }

    fn writer_with(&self, algorithm: DigestAlgorithm) -> Result<BlobWriter, PathError> {
        let dir = self.blobs_dir.join(algorithm.name());
        std::fs::create_dir_all(&dir).on("create directory", &dir)?;
        // Others may read what is public in an image, as with any file that a program makes.
        let temp = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(&self.temp_dir)
            .on("create a file in", &self.temp_dir)?;
        let hashing = HashingFile {
            temp,
            hasher: DigestHasher::new(algorithm),
            size: 0,
        };
        Ok(BlobWriter {
            store: self.clone(),
            inner: BufWriter::with_capacity(BUFFER_BYTES, hashing),
        })
    }

    /// Stores all of `reader`. With `expected`, only if its bytes have that digest.
    pub fn write(
        &self,
        mut reader: impl Read,
        expected: Option<&Digest>,
    ) -> Result<StoredBlob, BlobError> {
        let mut writer = match expected {
            Some(digest) => self.writer_for(digest)?,
            None => self.writer()?,
        };
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return writer.commit(expected),
                Ok(count) => {
                    let temp_dir = &self.temp_dir;
                    let result = writer.write_all(&buffer[..count]);
                    result.on("write a file in", temp_dir)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(BlobError::Read(error)),
            }
        }
    }

    /// Moves a finished file of ours, whose digest is known, into the store. It must lie on the same
    /// file system.
    pub fn adopt(&self, file: &Path, digest: &Digest) -> Result<(), PathError> {
        let path = self.own_path(digest);
        std::fs::rename(file, &path).on("rename", file)
    }
}

/// A blob that is being written. Dropping it leaves nothing behind.
#[derive(Debug)]
pub struct BlobWriter {
    store: BlobStore,
    inner: BufWriter<HashingFile>,
}

/// Hashes and counts what is written.
#[derive(Debug)]
struct HashingFile {
    temp: NamedTempFile,
    hasher: DigestHasher,
    size: u64,
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.temp.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temp.flush()
    }
}

impl BlobWriter {
    /// Puts the blob into the store. With `expected`, only if its bytes have that digest.
    pub fn commit(self, expected: Option<&Digest>) -> Result<StoredBlob, BlobError> {
        let temp_dir = &self.store.temp_dir;
        let hashing = self
            .inner
            .into_inner()
            .map_err(|error| PathError::new("write a file in", temp_dir, error.into_error()))?;
        let (digest, size) = (hashing.hasher.finish(), hashing.size);
        if let Some(expected) = expected.filter(|expected| **expected != digest) {
            return Err(BlobError::Mismatch {
                expected: expected.clone(),
                found: digest,
            });
        }
        // Who wrote the same blob at the same time wrote the same bytes: either may win.
        let path = self.store.own_path(&digest);
        hashing
            .temp
            .persist(&path)
            .map_err(|error| PathError::new("create", &path, error.error))?;
        Ok(StoredBlob { digest, size })
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn store() -> (tempfile::TempDir, BlobStore) {
        let temp = tempfile::tempdir().unwrap();
        let store = BlobStore::open(&temp.path().join("store")).unwrap();
        (temp, store)
    }

    fn unfinished(temp: &tempfile::TempDir) -> usize {
        let dir = temp.path().join("store/tmp");
        std::fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn a_blob_is_found_under_the_digest_of_its_bytes() {
        let (temp, store) = store();
        let digest = Digest::of(b"abc");
        assert!(!store.contains(&digest));
        let stored = store.write(&b"abc"[..], Some(&digest)).unwrap();
        assert_eq!((&stored.digest, stored.size), (&digest, 3));
        assert!(store.contains(&digest));
        let path = temp.path().join("store/blobs/sha256").join(digest.hex());
        assert_eq!(store.path(&digest), path);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o644);
        let mut text = String::new();
        store
            .read(&digest)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "abc");
        assert_eq!(unfinished(&temp), 0);
    }

    #[test]
    fn other_bytes_than_asked_for_are_refused_and_not_kept() {
        let (temp, store) = store();
        let expected = Digest::of(b"abc");
        let error = store.write(&b"abd"[..], Some(&expected)).unwrap_err();
        let BlobError::Mismatch { found, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(found, Digest::of(b"abd"));
        assert!(!store.contains(&expected) && !store.contains(&found));
        assert_eq!(unfinished(&temp), 0);
    }

    #[test]
    fn a_writer_that_is_dropped_leaves_nothing_behind() {
        let (temp, store) = store();
        let mut writer = store.writer().unwrap();
        writer.write_all(&vec![7; 3 * BUFFER_BYTES]).unwrap();
        assert_eq!(unfinished(&temp), 1);
        drop(writer);
        assert_eq!(unfinished(&temp), 0);
    }

    #[test]
    fn the_same_blob_may_be_written_several_times_at_once() {
        let (_temp, store) = store();
        let bytes = vec![42; 1_000_000];
        let digest = Digest::of(&bytes);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        store.write(&bytes[..], Some(&digest)).unwrap();
                        assert_eq!(
                            store.read(&digest).unwrap().metadata().unwrap().len(),
                            1_000_000
                        );
                    }
                });
            }
        });
    }

    #[test]
    fn an_error_of_the_source_is_told_from_one_of_the_store() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("line cut"))
            }
        }
        let (temp, store) = store();
        let error = store.write(Broken, None).unwrap_err();
        assert!(matches!(error, BlobError::Read(_)), "{error}");
        assert_eq!(unfinished(&temp), 0);
    }

    #[test]
    fn a_blob_named_by_another_hash_function_is_checked_with_that() {
        let (_temp, store) = store();
        let mut hasher = DigestHasher::new(DigestAlgorithm::Sha512);
        hasher.update(b"abc");
        let digest = hasher.finish();
        assert_eq!(
            store.write(&b"abc"[..], Some(&digest)).unwrap().digest,
            digest
        );
        assert!(store.contains(&digest));
        assert!(store.write(&b"abd"[..], Some(&digest)).is_err());
    }

    #[test]
    fn a_lent_blob_is_found_like_an_own_one_and_held_until_the_store_goes() {
        let (temp, store) = store();
        let digest = Digest::of(b"abc");
        let elsewhere = temp.path().join("elsewhere");
        std::fs::write(&elsewhere, "abc").unwrap();
        let guard: Arc<()> = Arc::default();
        store.lend(&digest, &elsewhere, guard.clone());
        // Who comes second has nothing to hold.
        store.lend(&digest, &temp.path().join("other"), Arc::new(()));
        assert!(store.contains(&digest));
        assert_eq!(store.path(&digest), elsewhere);
        assert_eq!(
            std::io::read_to_string(store.read(&digest).unwrap()).unwrap(),
            "abc"
        );
        // What is written goes into the store and leaves the lent file alone.
        let mut file = store.clone().writer().unwrap();
        file.write_all(b"abc").unwrap();
        file.commit(Some(&digest)).unwrap();
        assert!(elsewhere.exists() && store.own_path(&digest).is_file());
        assert_eq!(Arc::strong_count(&guard), 2);
        drop(store);
        assert_eq!(Arc::strong_count(&guard), 1);
    }

    #[test]
    fn a_finished_file_is_moved_in() {
        let (temp, store) = store();
        let file = temp.path().join("layer");
        std::fs::write(&file, "abc").unwrap();
        store.adopt(&file, &Digest::of(b"abc")).unwrap();
        assert!(store.contains(&Digest::of(b"abc")) && !file.exists());
    }
}
