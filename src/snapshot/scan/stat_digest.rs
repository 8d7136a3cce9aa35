//! One number for all that `stat` said of a tree, to find out much later whether anybody has changed it.

use std::os::unix::ffi::OsStrExt;

use super::index::Index;
use super::listing::Entry;
use crate::fs::{FileKind, Metadata, Timestamp};
use crate::image::Digest;
use crate::image::digest::DigestHasher;

/// What a tree was like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatDigest {
    /// Over path, inode, kind, mode, size, link count, time of change and of modification of every entry below the root.
    pub digest: Digest,
    /// Bytes of the regular files, each link counted.
    pub bytes: u64,
}

impl Index {
    /// Returns what the tree was like when it was walked. Equal for two walks exactly if nobody has changed anything in
    /// between: whatever changes a file, its attributes or a directory's names sets a change time, and no program can
    /// set one. That holds once [`wait_until_changes_show`](Self::wait_until_changes_show) has returned.
    ///
    /// Owners are left out, because another user namespace numbers them in another way; who changes one changes that
    /// time too. So are devices, which get new numbers when the machine starts.
    pub fn stat_digest(&self) -> StatDigest {
        let mut hasher = DigestHasher::default();
        let mut bytes = 0;
        // Directories by name, not by number, which depends on how the threads of the walk ran.
        let mut way = vec![self.cursor(0)];
        while let Some(cursor) = way.last_mut() {
            let Some(entry) = cursor.next() else {
                hasher.update(b"<");
                way.pop();
                continue;
            };
            add(&mut hasher, &entry);
            if entry.metadata.is_file() {
                bytes += entry.metadata.size;
            }
            if let Some(number) = entry.child {
                way.push(self.cursor(number));
            }
        }
        StatDigest {
            digest: hasher.finish(),
            bytes,
        }
    }
}

fn add(hasher: &mut DigestHasher, entry: &Entry<'_>) {
    let name = entry.name.as_bytes();
    let Metadata {
        kind,
        mode,
        size,
        mtime,
        ctime,
        ino,
        nlink,
        uid: _,
        gid: _,
        dev: _,
    } = entry.metadata;
    let (letter, device) = match kind {
        FileKind::File => (b'f', 0),
        FileKind::Directory => (b'd', 0),
        FileKind::Symlink => (b'l', 0),
        FileKind::Fifo => (b'p', 0),
        FileKind::Socket => (b's', 0),
        FileKind::CharDevice(number) => (b'c', number),
        FileKind::BlockDevice(number) => (b'b', number),
    };
    hasher.update(&[letter]);
    hasher.update(&(name.len() as u64).to_le_bytes());
    hasher.update(name);
    for number in [ino, size, nlink, device, mode.into()] {
        hasher.update(&number.to_le_bytes());
    }
    for Timestamp { seconds, nanos } in [mtime, ctime] {
        hasher.update(&seconds.to_le_bytes());
        hasher.update(&nanos.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{KnownContents, Root};
    use crate::snapshot::excluded::Excluded;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    fn digest(path: &Path) -> StatDigest {
        let root = Root::open(path).unwrap();
        let index = Index::take(&root, &Excluded::new(), &KnownContents::default()).unwrap();
        index.wait_until_changes_show();
        index.stat_digest()
    }

    #[test]
    fn whatever_is_done_to_a_tree_shows_and_reading_does_not() {
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name);
        for dir in ["a/b/c", "d/e", "f"] {
            fs::create_dir_all(path(dir)).unwrap();
            fs::write(path(dir).join("file"), dir).unwrap();
        }
        symlink("file", path("d/link")).unwrap();
        let first = digest(temp.path());
        assert_eq!(first.bytes, 9);
        assert_eq!(fs::read(path("f/file")).unwrap(), b"f");
        let mut seen = vec![first.clone()];
        assert_eq!(digest(temp.path()), first);
        let changes: [&dyn Fn(); 6] = [
            &|| fs::write(path("f/file"), "g").unwrap(),
            &|| {
                let file = fs::File::options().write(true).open(path("d/e/file"));
                let (file, found) = (file.unwrap(), fs::metadata(path("d/e/file")).unwrap());
                let times = fs::FileTimes::new().set_modified(found.modified().unwrap());
                // The time that it has: only the change time is new.
                file.set_times(times).unwrap();
            },
            &|| {
                let mode = fs::Permissions::from_mode(0o600);
                fs::set_permissions(path("a/b/c/file"), mode).unwrap();
            },
            &|| fs::rename(path("d/link"), path("d/other")).unwrap(),
            &|| fs::hard_link(path("f/file"), path("f/second")).unwrap(),
            &|| fs::remove_file(path("f/second")).unwrap(),
        ];
        for change in changes {
            change();
            let now = digest(temp.path());
            assert!(!seen.contains(&now));
            seen.push(now);
        }
    }
}
