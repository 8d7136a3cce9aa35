//! Digests of files' bytes: several files at a time, and each file once however often it is asked for.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::fs::{Metadata, PathContext, PathError, Root, Timestamp};

/// Files are read this much at a time: a system call costs nothing beside hashing what it read.
const READ_BYTES: usize = 128 * 1024;

/// A batch with fewer bytes is hashed by who asks: starting a thread takes as long as hashing so many.
const PARALLEL_MIN_BYTES: u64 = 512 * 1024;

/// Digest of a file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileDigest {
    /// How many bytes there were.
    pub(super) size: u64,
    pub(super) sha256: [u8; 32],
}

/// A file, and the state in which it was found: whoever writes to it changes its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct FileState {
    dev: u64,
    ino: u64,
    size: u64,
    mtime: Timestamp,
    ctime: Timestamp,
}

#[derive(Debug, Clone, Copy)]
enum Progress {
    /// Somebody is at it.
    UnderWay,
    Done(FileDigest),
}

/// What is known of files' bytes. One serves a whole build.
#[derive(Debug)]
pub struct ContentDigests {
    known: Mutex<HashMap<FileState, Progress>>,
    changed: Condvar,
    threads: usize,
    /// Files that were read.
    read: AtomicUsize,
}

impl ContentDigests {
    /// Knows nothing yet. At most `threads` files are read at a time for one question; at least one.
    pub fn new(threads: usize) -> Self {
        Self {
            known: Mutex::default(),
            changed: Condvar::new(),
            threads: threads.max(1),
            read: AtomicUsize::new(0),
        }
    }

    /// Returns how many files have been read so far.
    pub fn files_read(&self) -> usize {
        self.read.load(Ordering::Relaxed)
    }

    /// Returns the digests of files, in their order. Their paths are relative to the root and pass no links.
    pub(super) fn of_files(
        &self,
        root: &Root,
        files: &[&(PathBuf, Metadata)],
    ) -> Result<Vec<FileDigest>, PathError> {
        let next = AtomicUsize::new(0);
        let work = || -> Result<Vec<(usize, FileDigest)>, PathError> {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some((path, metadata)) = files.get(at) else {
                    return Ok(done);
                };
                match self.of_file(root, path, metadata) {
                    Ok(digest) => done.push((at, digest)),
                    Err(error) => {
                        // Nobody needs the others any more.
                        next.store(files.len(), Ordering::Relaxed);
                        return Err(error);
                    }
                }
            }
        };
        let bytes: u64 = files.iter().map(|(_, metadata)| metadata.size).sum();
        let helpers = if bytes < PARALLEL_MIN_BYTES {
            0
        } else {
            self.threads.min(files.len()).saturating_sub(1)
        };
        let mut done = std::thread::scope(|scope| {
            let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
            let mut done = work();
            for helper in helpers {
                let theirs = helper
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                done = done.and_then(|mut done| {
                    done.extend(theirs?);
                    Ok(done)
                });
            }
            done
        })?;
        done.sort_unstable_by_key(|(at, _)| *at);
        Ok(done.into_iter().map(|(_, digest)| digest).collect())
    }

    fn of_file(
        &self,
        root: &Root,
        path: &Path,
        metadata: &Metadata,
    ) -> Result<FileDigest, PathError> {
        let state = FileState {
            dev: metadata.dev,
            ino: metadata.ino,
            size: metadata.size,
            mtime: metadata.mtime,
            ctime: metadata.ctime,
        };
        let mut known = self.lock();
        loop {
            match known.get(&state) {
                Some(Progress::Done(digest)) => return Ok(*digest),
                Some(Progress::UnderWay) => {
                    let woken = self.changed.wait(known);
                    known = woken.unwrap_or_else(PoisonError::into_inner);
                }
                None => break,
            }
        }
        known.insert(state, Progress::UnderWay);
        drop(known);
        // Taken back unless it is finished, also by a panic: others wait for it.
        let claim = Claim {
            digests: self,
            state,
        };
        let digest = read(&root.open_file(path)?, &root.outside_path(path))?;
        self.read.fetch_add(1, Ordering::Relaxed);
        claim.finish(digest);
        Ok(digest)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FileState, Progress>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Claim<'a> {
    digests: &'a ContentDigests,
    state: FileState,
}

impl Claim<'_> {
    fn finish(self, digest: FileDigest) {
        let mut known = self.digests.lock();
        known.insert(self.state, Progress::Done(digest));
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut known = self.digests.lock();
        if let Some(Progress::UnderWay) = known.get(&self.state) {
            known.remove(&self.state);
        }
        self.digests.changed.notify_all();
    }
}

fn read(mut file: &File, path: &Path) -> Result<FileDigest, PathError> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut size = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                hasher.update(&buffer[..count]);
                size += count as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).on("read", path),
        }
    }
    Ok(FileDigest {
        size,
        sha256: hasher.finalize().into(),
    })
}
