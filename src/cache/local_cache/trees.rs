//! Unpacked layers of base images, which overlays of any number of builds are stacked on.
//!
//! ```text
//! trees/<key>/root     the files of the layer, in overlayfs's own form
//! trees/<key>/owners/  files of known owners: whoever sees others numbers users in another way
//! trees/<key>/stamp    what all of that was like when it was complete
//! trees/new-*          being unpacked
//! trees/old-*          being removed
//! ```
//!
//! A tree is used only if it has a stamp and looks as the stamp says. The stamp is taken over everything that `stat` says
//! of every file, the change time and the inode among it, and so tells whatever was done to the tree by means of the file
//! system since: the kernel sets that time and no program can. Finding that out costs one `stat` per file and no reading.
//! It does not tell what happened to the disk below the file system, nor guard against somebody who may write to the whole
//! directory and makes a stamp of their own; a key leads nobody else there, because the directory of a tree is closed to
//! other users. Until the files are known to be on the disk, a stamp holds only as long as the machine runs.
//!
//! The directory of a tree is locked by whoever uses it, and for one process alone while it is being unpacked or removed.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tracing::{debug, warn};

use super::LocalCache;
use crate::cache::encoding::Encoder;
use crate::cache::lookup::{Lookup, Miss};
use crate::fs::{KnownContents, PathContext, PathError, Root};
use crate::image::{Digest, OverlayXattrs};
use crate::sandbox::{Mode, OwnerMaps};
use crate::snapshot::change::DiffError;
use crate::snapshot::{Index, StatDigest};

/// Where trees are.
pub(super) const DIR: &str = "trees";
pub(super) const ROOT: &str = "root";
pub(super) const STAMP: &str = "stamp";
pub(super) const OWNERS: &str = "owners";

/// Goes up whenever trees are made in another way.
const VERSION: i64 = 1;

/// Changes with every start of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The largest stamp that is read, in bytes.
const STAMP_BYTES_MAX: u64 = 64 * 1024;

/// What a tree is kept under: the layer with all below it, the form of overlays' marks, who is who among its owners, and what
/// the mode of isolation lets a process make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeKey(String);

impl TreeKey {
    /// Returns the key of a layer by its chain ID.
    pub fn new(chain_id: &Digest, xattrs: OverlayXattrs, owners: &OwnerMaps, mode: Mode) -> Self {
        let name = Encoder::new("tree")
            .number(VERSION)
            .text(chain_id.as_str())
            .text(xattrs.prefix())
            // In a user namespace, devices are left out.
            .text(mode.name())
            .text(&owners.users)
            .text(&owners.groups)
            .finish();
        Self(name.hex().to_owned())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a tree was like when it was complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    /// The layer.
    pub(super) chain_id: Digest,
    /// Over everything that `stat` says of the files.
    pub(super) digest: Digest,
    /// Bytes of the regular files.
    pub(super) bytes: u64,
    /// Nothing of the layers below shows.
    pub(super) is_root_opaque: bool,
    /// The start of the machine since which it holds. `None` if the files are known to be on the disk.
    pub(super) boot: Option<String>,
}

impl Stamp {
    /// Says whether the files may have been lost since.
    pub(super) fn is_of_other_boot(&self) -> bool {
        self.boot.is_some() && self.boot != boot_id()
    }
}

/// A tree that stays as long as this value lives, and is what it should be.
#[derive(Debug)]
pub struct HeldTree {
    dir: PathBuf,
    is_root_opaque: bool,
    /// Locked.
    _lock: File,
}

impl HeldTree {
    /// Returns the directory with the files of the layer.
    pub fn root(&self) -> PathBuf {
        self.dir.join(ROOT)
    }

    /// Says whether nothing of the layers below shows.
    pub fn is_root_opaque(&self) -> bool {
        self.is_root_opaque
    }
}

/// Why a tree that is there cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum TreeProblem {
    #[error("it was not completed")]
    Unfinished,
    #[error("the machine was started since, and its files may not have been on the disk")]
    OtherBoot,
    #[error("somebody has changed it since it was unpacked")]
    Changed,
    #[error("its owners are others here")]
    OtherOwners,
    #[error(transparent)]
    Walk(#[from] DiffError),
    #[error(transparent)]
    File(#[from] PathError),
}

impl LocalCache {
    pub(super) fn trees_dir(&self) -> PathBuf {
        self.dir.join(DIR)
    }

    /// Looks for an unpacked layer. Costs one `stat` per file of it.
    pub fn find_tree(self: &Arc<Self>, key: &TreeKey) -> Lookup<HeldTree> {
        let dir = self.trees_dir().join(key.as_str());
        let opened = self.lock_shared().map_err(TreeProblem::from);
        // Given up when the tree is held: it is not removed in between.
        let opened = opened.and_then(|_lock| Ok(open_locked(&dir)?));
        let checked = match opened {
            Ok(None) => return Lookup::Miss(Miss::Absent),
            Ok(Some(lock)) => check(&dir).map(|stamp| (stamp, lock)),
            Err(problem) => Err(problem),
        };
        match checked {
            Ok((stamp, lock)) => {
                self.touch(&dir.join(STAMP));
                Lookup::Hit(HeldTree {
                    dir,
                    is_root_opaque: stamp.is_root_opaque,
                    _lock: lock,
                })
            }
            Err(problem @ (TreeProblem::Unfinished | TreeProblem::OtherBoot)) => {
                debug!(
                    "the unpacked layer `{}` is not used: {problem}",
                    dir.display()
                );
                Lookup::Miss(Miss::Absent)
            }
            Err(problem) => {
                let reason = crate::cache::registry_cache::with_causes(&problem);
                warn!(
                    "the unpacked layer `{}` is not used: {reason}",
                    dir.display()
                );
                Lookup::Miss(Miss::Unusable { reason })
            }
        }
    }
}

/// Opens the directory of a tree and locks it for reading. `None` if there is none, or somebody is at work on it.
fn open_locked(dir: &Path) -> Result<Option<File>, PathError> {
    let file = match File::open(dir) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).on("open directory", dir),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).on("lock", dir),
    }
}

/// Finds out whether a tree is what its stamp says, and its owners are who they were.
pub(super) fn check(dir: &Path) -> Result<Stamp, TreeProblem> {
    let stamp = check_files(dir)?;
    if has_other_owners(&dir.join(OWNERS))? {
        return Err(TreeProblem::OtherOwners);
    }
    Ok(stamp)
}

/// As [`check`], for those who may number users in another way.
pub(super) fn check_files(dir: &Path) -> Result<Stamp, TreeProblem> {
    let stamp = read_stamp(dir)?.ok_or(TreeProblem::Unfinished)?;
    if stamp.is_of_other_boot() {
        return Err(TreeProblem::OtherBoot);
    }
    let (found, _) = stat_digest(dir)?;
    if found.digest != stamp.digest {
        return Err(TreeProblem::Changed);
    }
    Ok(stamp)
}

/// Walks the whole directory but the stamp.
pub(super) fn stat_digest(dir: &Path) -> Result<(StatDigest, Index), DiffError> {
    let root = Root::open(dir)?;
    let stamp = [PathBuf::from(STAMP)].into_iter().collect();
    let index = Index::take(&root, &stamp, &KnownContents::default())?;
    Ok((index.stat_digest(), index))
}

pub(super) fn read_stamp(dir: &Path) -> Result<Option<Stamp>, PathError> {
    let path = dir.join(STAMP);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).on("open", path),
    };
    let mut text = Vec::new();
    let mut limited = file.take(STAMP_BYTES_MAX);
    limited.read_to_end(&mut text).on("read", path)?;
    // One that cannot be understood is none.
    Ok(serde_json::from_slice(&text).ok())
}

/// Returns what tells this start of the machine from others. `None` where that cannot be known.
pub(super) fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string(BOOT_ID).ok()?;
    Some(text.trim().to_owned())
}

/// Says whether the files of known owners have others here.
fn has_other_owners(dir: &Path) -> Result<bool, PathError> {
    for entry in std::fs::read_dir(dir).on("read directory", dir)? {
        let entry = entry.on("read directory", dir)?;
        let found = entry.metadata().on("stat", entry.path())?;
        let name = entry.file_name();
        let expected = format!("{}-{}", found.uid(), found.gid());
        if name.to_str() != Some(&expected) {
            return Ok(true);
        }
    }
    Ok(false)
}
