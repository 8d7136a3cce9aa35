//! Unpacked layers on their way into the cache.

use std::fs::{DirBuilder, File, Permissions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::debug;

use super::temp::TempFile;
use super::trees::{self, Stamp, TreeKey};
use super::{LocalCache, LocalCacheError};
use crate::fs::{Dir, PathContext, PathError, remove_tree};
use crate::image::Digest;
use crate::sandbox::OwnerMaps;

pub(super) const NEW_PREFIX: &str = "new-";
pub(super) const OLD_PREFIX: &str = "old-";

/// An unpacked layer takes a multiple of its compressed bytes; where there is less room than this many times those, it is not
/// kept. Files of programs take three times theirs, text up to ten.
const ROOM_FACTOR: u64 = 8;
/// Room that is left to others, in bytes.
const ROOM_LEFT: u64 = 1 << 30;

/// A directory that a layer is unpacked into. It stays as long as this value lives, and is removed then if it was not
/// finished.
#[derive(Debug)]
pub struct NewTree {
    cache: Arc<LocalCache>,
    chain_id: Digest,
    key: TreeKey,
    dir: PathBuf,
    /// Locked, for this process alone until the tree is finished.
    lock: File,
    is_published: bool,
    is_finished: bool,
}

impl LocalCache {
    /// Makes the directory of trees where it is missing, and returns it.
    pub fn open_trees(&self) -> Result<PathBuf, LocalCacheError> {
        self.check_writable()?;
        let trees = self.trees_dir();
        make_dir(&trees, 0o755)?;
        Ok(trees)
    }

    /// Begins to unpack a layer whose compressed size is `size` bytes. `None` if there is too little room.
    pub fn new_tree(
        self: &Arc<Self>,
        chain_id: &Digest,
        key: TreeKey,
        owners: &OwnerMaps,
        size: u64,
    ) -> Result<Option<NewTree>, LocalCacheError> {
        let trees = self.open_trees()?;
        if room(&trees)? < size.saturating_mul(ROOM_FACTOR).saturating_add(ROOM_LEFT) {
            debug!(
                "too little room for unpacked layers in `{}`",
                trees.display()
            );
            return Ok(None);
        }
        let (dir, lock) = self.new_locked_dir(&trees)?;
        let tree = NewTree {
            cache: Arc::clone(self),
            chain_id: chain_id.clone(),
            key,
            dir,
            lock,
            is_published: false,
            is_finished: false,
        };
        make_dir(&tree.root(), 0o755)?;
        lchown(tree.root(), Some(0), Some(0)).on("set owner of", tree.root())?;
        make_owners(&tree.dir.join(trees::OWNERS), owners)?;
        Ok(Some(tree))
    }

    /// Makes a directory that only this user can enter, and locks it.
    fn new_locked_dir(&self, parent: &Path) -> Result<(PathBuf, File), PathError> {
        // What is there and locked by nobody is taken for a dead one's: not as long as this is held.
        let _lock = self.lock_shared()?;
        let made = tempfile::Builder::new()
            .prefix(NEW_PREFIX)
            // A program with a setuid bit in an image is for nobody on this machine.
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .on("create a directory in", parent)?;
        let dir = made.keep();
        let file = File::open(&dir).on("open directory", &dir)?;
        match file.try_lock() {
            Ok(()) => Ok((dir, file)),
            Err(TryLockError::WouldBlock) => {
                Err(PathError::new("lock", dir, rustix::io::Errno::AGAIN))
            }
            Err(TryLockError::Error(error)) => Err(error).on("lock", dir),
        }
    }

    /// Removes what processes that were killed have left among the trees. What cannot be removed stays: it is another
    /// user's.
    pub fn remove_stale_trees(&self) {
        let stale = match self.lock_exclusive() {
            Ok(_lock) => self.take_stale_trees(),
            Err(error) => {
                debug!("unfinished trees stay: {error}: {}", error.source);
                return;
            }
        };
        for (dir, _lock) in stale {
            if let Err(error) = remove(&dir) {
                debug!("an unfinished tree stays: {error}: {}", error.source);
            }
        }
    }

    /// Locks the directories that nobody is at work on; the cache must be locked for this process alone.
    fn take_stale_trees(&self) -> Vec<(PathBuf, File)> {
        let entries = std::fs::read_dir(self.trees_dir()).into_iter().flatten();
        let names = entries.filter_map(Result::ok).filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with(NEW_PREFIX) || name.starts_with(OLD_PREFIX)
        });
        let locked = names.filter_map(|entry| {
            let file = File::open(entry.path()).ok()?;
            file.try_lock().ok()?;
            Some((entry.path(), file))
        });
        locked.collect()
    }

    /// Takes a tree that nobody uses out of its place, to be removed; the cache must be locked for this process alone. `None`
    /// if somebody uses it.
    pub(super) fn take_tree(&self, dir: &Path) -> Result<Option<(PathBuf, File)>, PathError> {
        let file = File::open(dir).on("open directory", dir)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error).on("lock", dir),
        }
        let place = tempfile::Builder::new()
            .prefix(OLD_PREFIX)
            .tempdir_in(self.trees_dir())
            .on("create a directory in", self.trees_dir())?
            .keep();
        // An empty directory is replaced.
        std::fs::rename(dir, &place).on("rename", dir)?;
        Ok(Some((place, file)))
    }
}

impl NewTree {
    /// Returns the directory to unpack into; another one after [`publish`](Self::publish).
    pub fn root(&self) -> PathBuf {
        self.dir.join(trees::ROOT)
    }

    /// Puts the tree into its place, complete. Nobody else uses it before it is finished. It stays where it is if another
    /// process has been faster.
    pub fn publish(&mut self) -> Result<(), LocalCacheError> {
        let place = self.cache.trees_dir().join(self.key.as_str());
        let replaced = {
            let _lock = self.cache.lock_exclusive()?;
            let replaced = match place.symlink_metadata() {
                Err(_) => None,
                Ok(_) => match self.cache.take_tree(&place)? {
                    Some(old) => Some(old),
                    None => return Ok(()),
                },
            };
            std::fs::rename(&self.dir, &place).on("rename", &self.dir)?;
            self.dir = place;
            self.is_published = true;
            replaced
        };
        if let Some((old, _lock)) = replaced {
            remove(&old)?;
        }
        Ok(())
    }

    /// Makes a published tree one that others use, and that stays. Nobody may write to it any more. Costs one `stat` per file,
    /// and waits until all are on the disk.
    pub fn finish(&mut self, is_root_opaque: bool) -> Result<(), LocalCacheError> {
        if !self.is_published {
            return Ok(());
        }
        let (found, index) = trees::stat_digest(&self.dir)?;
        // From here on, a change gives another digest.
        index.wait_until_changes_show();
        let mut stamp = Stamp {
            chain_id: self.chain_id.clone(),
            digest: found.digest,
            bytes: found.bytes,
            is_root_opaque,
            boot: trees::boot_id(),
        };
        if stamp.boot.is_some() {
            self.write_stamp(&stamp)?;
            self.share()?;
        }
        rustix::fs::syncfs(&self.lock).on("sync", &self.dir)?;
        stamp.boot = None;
        self.write_stamp(&stamp)?;
        self.share()
    }

    /// Lets others use the tree.
    fn share(&mut self) -> Result<(), LocalCacheError> {
        // There is a moment without any lock, in which nobody may remove the tree.
        let _lock = self.cache.lock_shared()?;
        self.lock.lock_shared().on("lock", &self.dir)?;
        self.is_finished = true;
        Ok(())
    }

    fn write_stamp(&self, stamp: &Stamp) -> Result<(), LocalCacheError> {
        let text = serde_json::to_vec(stamp).map_err(LocalCacheError::Json)?;
        let path = self.dir.join(trees::STAMP);
        let mut temp = TempFile::create(&self.cache.temp_dir())?;
        temp.file().write_all(&text).on("write", &path)?;
        let _lock = self.cache.lock_shared()?;
        temp.rename(&path)?;
        Ok(())
    }
}

impl Drop for NewTree {
    fn drop(&mut self) {
        if !self.is_finished
            && let Err(error) = remove(&self.dir)
        {
            // Who comes next removes it.
            debug!("an unfinished tree stays: {error}: {}", error.source);
        }
    }
}

/// Removes a tree that is locked for this process alone.
pub(super) fn remove(dir: &Path) -> Result<(), PathError> {
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else {
        return Ok(());
    };
    remove_tree(&Dir::open(parent)?, name)
}

fn make_dir(dir: &Path, mode: u32) -> Result<(), PathError> {
    match DirBuilder::new().mode(mode).create(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error).on("create directory", dir),
        // Whatever the umask is.
        Ok(()) => {
            std::fs::set_permissions(dir, Permissions::from_mode(mode)).on("set mode of", dir)
        }
    }
}

/// Makes files of the first and the last owner of each range, each named for its owner.
fn make_owners(dir: &Path, owners: &OwnerMaps) -> Result<(), PathError> {
    make_dir(dir, 0o755)?;
    for (user, group) in owners.samples() {
        let path = dir.join(format!("{user}-{group}"));
        File::create(&path).on("create", &path)?;
        lchown(&path, Some(user), Some(group)).on("set owner of", &path)?;
    }
    Ok(())
}

fn room(dir: &Path) -> Result<u64, PathError> {
    let found = rustix::fs::statvfs(dir).on("statvfs", dir)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
