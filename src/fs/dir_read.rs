//! Reading a tree that nobody changes any more: with fewer system calls per entry, and upwards as well as down.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{Dir, PathContext, PathError};

/// A name in a directory, with what the directory itself says of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The name.
    pub name: OsString,
    /// Whether it may be a character device: so or not known. Overlay whiteouts are.
    pub may_be_char_device: bool,
    /// Whether it may be a socket: so or not known.
    pub may_be_socket: bool,
}

impl Dir {
    /// Returns the entries of the directory sorted by the bytes of their names, without `.` and `..`. Stats nothing.
    pub fn entries(&self) -> Result<Vec<DirEntry>, PathError> {
        let mut entries = Vec::new();
        // A handle of its own: reading a directory moves the position that handles share.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let own = rustix::fs::openat(self.as_fd(), ".", flags, Mode::empty())
            .on("read directory", self.path())?;
        let mut reader = rustix::fs::Dir::new(own).on("read directory", self.path())?;
        while let Some(entry) = reader.read() {
            let entry = entry.on("read directory", self.path())?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = entry.file_type();
            let may_stand_for_device = self.ledger().is_some() && kind == FileType::RegularFile;
            entries.push(DirEntry {
                name: OsString::from_vec(name.to_vec()),
                may_be_char_device: may_stand_for_device
                    || matches!(kind, FileType::CharacterDevice | FileType::Unknown),
                may_be_socket: matches!(kind, FileType::Socket | FileType::Unknown),
            });
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Opens for reading the file `name` that was found to be a regular file, in a tree where that cannot have changed
    /// since. Something else is an error nevertheless; opening it waits for nobody.
    pub fn open_known_file(&self, name: &OsStr) -> Result<File, PathError> {
        self.check("open", name)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.as_fd(), name, flags, Mode::empty())
            .map_err(|errno| self.error("open", name, errno))?;
        let metadata = self
            .look_at(file.as_fd())
            .map_err(|errno| self.error("stat", name, errno))?;
        if !metadata.is_file() {
            return Err(self.error("open", name, Errno::INVAL));
        }
        Ok(File::from(file))
    }

    /// Opens the directory above this one, whatever it is: the caller must know that it is not the root, and check
    /// that it is the one it came from.
    pub(super) fn open_above(&self) -> Result<Dir, PathError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(self.as_fd(), "..", flags, Mode::empty())
            .on("open the directory above", self.path())?;
        let path = self.path().parent().unwrap_or(self.path());
        Ok(self.in_same_tree(fd, path.to_path_buf()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir_with_attributes(count: usize) -> (tempfile::TempDir, Dir) {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let name = OsStr::new("file");
        dir.create_file(name, 0o644).unwrap();
        for number in 0..count {
            let key = OsString::from(format!("user.attribute-with-a-long-name-{number}"));
            dir.set_xattr(name, &key, b"value").unwrap();
        }
        (temp, dir)
    }

    #[test]
    fn all_extended_attributes_are_listed_however_many_there_are() {
        for count in [0, 1, 60] {
            let (_temp, dir) = dir_with_attributes(count);
            let xattrs = dir.xattrs(OsStr::new("file")).unwrap();
            assert_eq!(xattrs.len(), count);
            assert!(xattrs.values().all(|value| value == b"value"));
        }
    }

    #[test]
    fn only_wanted_extended_attributes_are_read() {
        let (_temp, dir) = dir_with_attributes(3);
        let wanted = OsStr::new("user.attribute-with-a-long-name-1");
        let xattrs = dir
            .xattrs_where(OsStr::new("file"), |key| key == wanted)
            .unwrap();
        assert_eq!(xattrs.keys().collect::<Vec<_>>(), [wanted]);
    }

    #[test]
    fn entries_are_sorted_and_say_what_may_be_a_device() {
        let (_temp, dir) = dir_with_attributes(0);
        dir.create_dir(OsStr::new("a"), 0o755).unwrap();
        dir.create_node(OsStr::new("z"), crate::fs::FileKind::Fifo, 0o644)
            .unwrap();
        let entries = dir.entries().unwrap();
        let names: Vec<_> = entries.iter().map(|entry| entry.name.clone()).collect();
        assert_eq!(names, ["a", "file", "z"]);
        let metadata = dir.open_known_file(OsStr::new("file")).unwrap().metadata();
        assert_eq!(metadata.unwrap().len(), 0);
        assert!(dir.open_known_file(OsStr::new("z")).is_err());
        assert!(dir.open_known_file(OsStr::new("a")).is_err());
    }
}
