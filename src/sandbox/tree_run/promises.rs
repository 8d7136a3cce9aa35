//! What a mount promises and a plain directory does not keep: that nothing is written to it, or no more than so much. Here
//! it is looked at once the command has ended.
//!
//! Nothing can be refused to root while it runs: an immutable file takes a capability that containers lack, Landlock knows
//! no "all but this directory" and takes `no_new_privs`.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fs::{Descent, Dir, FileKind, Metadata, PathError, Root, stored_range};
use crate::image::Digest;
use crate::image::digest::DigestHasher;

use super::super::placed::ChangedMark;
use super::super::run::RunError;

/// A file takes whole pages of a file system in memory.
const PAGE_BYTES: u64 = 4096;

/// Something of ours that a command has in its tree.
struct Shown {
    /// Where the command sees it.
    target: PathBuf,
    home: Arc<Root>,
    name: OsString,
}

/// What the mounts of one command promise.
#[derive(Default)]
pub(super) struct Promises {
    /// Each with what it was before the command.
    read_only: Vec<(Shown, Digest)>,
    /// Files that whoever takes them back compares, each by where the command sees it.
    unchanged: Vec<(PathBuf, ChangedMark)>,
    /// Each with its limit in bytes.
    limited: Vec<(Shown, u64)>,
}

impl Promises {
    /// Remembers how it is, because the command is not to write to it. Stats every file, reads none.
    pub(super) fn is_read_only(
        &mut self,
        target: &Path,
        home: &Arc<Root>,
        name: &OsStr,
    ) -> Result<(), PathError> {
        let look = look_of(home.dir(), name)?;
        self.read_only.push((shown(target, home, name), look));
        Ok(())
    }

    /// Remembers that the command is not to write to a file, which has this mark if it did.
    pub(super) fn is_unchanged(&mut self, target: &Path, is_changed: &ChangedMark) {
        let unchanged = (target.to_path_buf(), is_changed.clone());
        self.unchanged.push(unchanged);
    }

    /// Remembers that the command may write no more than `limit` bytes to it.
    pub(super) fn is_limited(&mut self, target: &Path, home: &Arc<Root>, name: &OsStr, limit: u64) {
        self.limited.push((shown(target, home, name), limit));
    }

    /// Returns where the command has written although it was not to; everything must be home again.
    ///
    /// # Errors
    /// If the command has left more in one of them than it may hold: where there is a limit, the command would have failed.
    pub(super) fn broken(&self) -> Result<Vec<PathBuf>, RunError> {
        for (shown, limit) in &self.limited {
            let size = stored_bytes(shown.home.dir(), &shown.name)?;
            if size > *limit {
                return Err(RunError::Full {
                    target: shown.target.clone(),
                    size,
                    limit: *limit,
                });
            }
        }
        let changed = self.unchanged.iter().filter(|(_, mark)| mark.is_set());
        let mut written: Vec<PathBuf> = changed.map(|(target, _)| target.clone()).collect();
        for (shown, before) in &self.read_only {
            if look_of(shown.home.dir(), &shown.name)? != *before {
                written.push(shown.target.clone());
            }
        }
        Ok(written)
    }
}

fn shown(target: &Path, home: &Arc<Root>, name: &OsStr) -> Shown {
    Shown {
        target: target.to_path_buf(),
        home: Arc::clone(home),
        name: name.to_os_string(),
    }
}

/// Returns a digest of what `stat` says of a file or of a whole directory.
///
/// Whoever writes to a file sets its time, and that of a copy is an old one. The time of the last change would show more,
/// and also what is moved into the tree and back; who sets the other one back on purpose betrays nobody but themselves.
fn look_of(dir: &Dir, name: &OsStr) -> Result<Digest, PathError> {
    let mut hasher = DigestHasher::default();
    if let Some(found) = dir.metadata_of(name)? {
        hash(&mut hasher, name, &found);
    }
    for_each_below(dir, name, |_, name, found| {
        hash(&mut hasher, name, found);
        Ok(())
    })?;
    Ok(hasher.finish())
}

fn hash(hasher: &mut DigestHasher, name: &OsStr, found: &Metadata) {
    hasher.update(&(name.len() as u64).to_le_bytes());
    hasher.update(name.as_bytes());
    let (kind, device) = match found.kind {
        FileKind::File => (b'f', 0),
        FileKind::Directory => (b'd', 0),
        FileKind::Symlink => (b'l', 0),
        FileKind::Fifo => (b'p', 0),
        FileKind::CharDevice(device) => (b'c', device),
        FileKind::BlockDevice(device) => (b'b', device),
        FileKind::Socket => (b's', 0),
    };
    hasher.update(&[kind]);
    for number in [found.mode, found.uid, found.gid, found.mtime.nanos] {
        hasher.update(&number.to_le_bytes());
    }
    hasher.update(&found.mtime.seconds.to_le_bytes());
    for number in [device, found.ino] {
        hasher.update(&number.to_le_bytes());
    }
    // Mount points of other mounts come and go in a directory, which then gets its time back, but not always its size.
    if !found.is_dir() {
        hasher.update(&found.size.to_le_bytes());
    }
}

/// Returns how much room the contents of files take below a directory: each once, without holes.
fn stored_bytes(dir: &Dir, name: &OsStr) -> Result<u64, PathError> {
    let mut seen = BTreeSet::new();
    let mut sum: u64 = 0;
    for_each_below(dir, name, |dir, name, found| {
        if found.is_file() && seen.insert((found.dev, found.ino)) {
            let bytes = stored_bytes_of(dir, name, found)?;
            sum = sum.saturating_add(bytes.next_multiple_of(PAGE_BYTES));
        }
        Ok(())
    })?;
    Ok(sum)
}

fn stored_bytes_of(dir: &Dir, name: &OsStr, found: &Metadata) -> Result<u64, PathError> {
    let file = dir.open_known_file(name)?;
    let path = dir.path_of(name);
    let (mut sum, mut position) = (0, 0);
    while position < found.size
        && let Some((start, end)) = stored_range(&file, position, &path)?
    {
        sum += end - start;
        position = end;
    }
    Ok(sum)
}

/// Shows everything below the directory `name`, in one order for each tree; nothing if it is none. The end of a directory
/// shows as an entry without a name.
fn for_each_below(
    dir: &Dir,
    name: &OsStr,
    mut visit: impl FnMut(&Dir, &OsStr, &Metadata) -> Result<(), PathError>,
) -> Result<(), PathError> {
    if !dir.metadata_of(name)?.is_some_and(|found| found.is_dir()) {
        return Ok(());
    }
    let mut way = Descent::new(&dir.open_dir(name)?)?;
    let mut levels = vec![way.dir().names()?.into_iter()];
    while let Some(names) = levels.last_mut() {
        let Some(name) = names.next() else {
            levels.pop();
            visit(way.dir(), OsStr::new(""), &way.dir().metadata()?)?;
            way.leave()?;
            continue;
        };
        let Some(found) = way.dir().metadata_of(&name)? else {
            continue;
        };
        visit(way.dir(), &name, &found)?;
        if found.is_dir() {
            way.enter(&name)?;
            levels.push(way.dir().names()?.into_iter());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(place.path("0/a/b")).unwrap();
            fs::write(place.path("0/a/file"), "text").unwrap();
            place
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn home(&self) -> Arc<Root> {
            Arc::new(Root::open(self.0.path()).unwrap())
        }

        fn written_after(&self, command: impl FnOnce(&Self)) -> Vec<PathBuf> {
            let mut promises = Promises::default();
            let (home, target) = (self.home(), Path::new("/t"));
            promises
                .is_read_only(target, &home, OsStr::new("0"))
                .unwrap();
            // As it is moved into the tree and back.
            fs::rename(self.path("0"), self.path("elsewhere")).unwrap();
            fs::rename(self.path("elsewhere"), self.path("0")).unwrap();
            command(self);
            promises.broken().unwrap()
        }
    }

    #[test]
    fn every_write_is_seen_and_reading_is_none() {
        let read = |place: &Place| {
            fs::read(place.path("0/a/file")).unwrap();
            fs::read_dir(place.path("0/a")).unwrap().count();
        };
        assert!(Place::new().written_after(read).is_empty());
        let writes: [fn(&Place); 6] = [
            |place| fs::write(place.path("0/a/file"), "TEXT").unwrap(),
            |place| fs::write(place.path("0/a/b/new"), "").unwrap(),
            |place| fs::write(place.path("0/new"), "").unwrap(),
            |place| fs::remove_file(place.path("0/a/file")).unwrap(),
            |place| fs::rename(place.path("0/a/b"), place.path("0/b")).unwrap(),
            |place| {
                fs::set_permissions(place.path("0"), Permissions::from_mode(0o700)).unwrap();
                fs::set_permissions(place.path("0/a"), Permissions::from_mode(0o700)).unwrap();
            },
        ];
        for (number, write) in writes.into_iter().enumerate() {
            let written = Place::new().written_after(write);
            assert_eq!(written, [PathBuf::from("/t")], "write {number}");
        }
    }

    #[test]
    fn more_than_fits_is_an_error_and_holes_take_no_room() {
        let place = Place::new();
        let mut promises = Promises::default();
        let limit = 1024 * 1024;
        promises.is_limited(Path::new("/t"), &place.home(), OsStr::new("0"), limit);
        let mut file = fs::File::create(place.path("0/a/large")).unwrap();
        file.set_len(1 << 30).unwrap();
        fs::hard_link(place.path("0/a/large"), place.path("0/again")).unwrap();
        file.write_all(&vec![1; 600 * 1024]).unwrap();
        assert!(promises.broken().unwrap().is_empty());
        fs::write(place.path("0/more"), vec![1; 500 * 1024]).unwrap();
        let error = promises.broken().unwrap_err().to_string();
        assert!(
            error.contains("`/t`") && error.contains("1048576"),
            "{error}"
        );
    }
}
