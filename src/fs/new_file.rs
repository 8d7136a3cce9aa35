//! A regular file that is being made: contents first, then owner, mode, attributes and time, all
//! through its descriptor, so that a hundred thousand small files cost no second look-up.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{Gid, Mode, Uid, XattrFlags};

use super::dir_metadata::times;
use super::file::copy_contents;
use super::inode::Handle;
use super::{Dir, Metadata, PathError, Timestamp};

/// A file that this process has just created and alone writes to.
#[derive(Debug)]
pub struct NewFile<'a> {
    dir: &'a Dir,
    name: &'a OsStr,
    file: File,
}

impl Dir {
    /// Creates the regular file `name`, which must not exist; the umask applies to `mode`.
    pub fn create_new_file<'a>(
        &'a self,
        name: &'a OsStr,
        mode: u32,
    ) -> Result<NewFile<'a>, PathError> {
        let file = self.create_file(name, mode)?;
        Ok(NewFile {
            dir: self,
            name,
            file,
        })
    }
}

impl NewFile<'_> {
    /// Appends `bytes`.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), PathError> {
        let result = self.file.write_all(bytes);
        self.on("write", result)
    }

    /// Writes `bytes` at `offset`, in bytes from the start; what is skipped is a hole.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<(), PathError> {
        self.on("write", self.file.write_all_at(bytes, offset))
    }

    /// Makes the file `size` bytes long; what was not written is a hole.
    pub fn set_size(&self, size: u64) -> Result<(), PathError> {
        self.on("change size of", self.file.set_len(size))
    }

    /// Copies all of `source` into this file, which must be empty, keeping holes.
    pub fn copy_from(&self, source: &File) -> Result<(), PathError> {
        let size = self.on("stat", rustix::fs::fstat(source))?.st_size;
        let result = copy_contents(source, &self.file, size.unsigned_abs());
        self.on("write", result)
    }

    /// Returns what the file is like now.
    pub fn metadata(&self) -> Result<Metadata, PathError> {
        self.on("stat", self.dir.look_at(self.file.as_fd()))
    }

    /// Sets owner and group. The kernel clears setuid bits and capabilities: set these after.
    pub fn set_owner(&self, uid: u32, gid: u32) -> Result<(), PathError> {
        let result = match self.dir.ledger() {
            Some(ledger) => ledger.change_owner(self.handle(), Some(uid), Some(gid)),
            None => {
                let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
                rustix::fs::fchown(&self.file, uid, gid)
            }
        };
        self.on("change owner of", result)
    }

    /// Sets the mode bits, 0o7777 only.
    pub fn set_mode(&self, mode: u32) -> Result<(), PathError> {
        let result = match self.dir.ledger() {
            Some(ledger) => ledger.change_mode(self.handle(), mode),
            None => rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode)),
        };
        self.on("change mode of", result)
    }

    /// Sets an extended attribute.
    pub fn set_xattr(&self, key: &OsStr, value: &[u8]) -> Result<(), PathError> {
        let set = || rustix::fs::fsetxattr(self.file.as_fd(), key, value, XattrFlags::empty());
        let result = match self.dir.ledger() {
            Some(ledger) => ledger.change_xattr(self.handle(), (key, value), set),
            None => set(),
        };
        self.on("set extended attribute of", result)
    }

    /// Sets the modification time; the access time is set to the same.
    pub fn set_mtime(&self, mtime: Timestamp) -> Result<(), PathError> {
        let result = rustix::fs::futimens(&self.file, &times(mtime));
        self.on("change time of", result)
    }

    fn handle(&self) -> Handle<'_> {
        Handle::Open(self.file.as_fd())
    }

    /// The path is put together only for a message.
    fn on<T, E: Into<std::io::Error>>(
        &self,
        action: &'static str,
        result: Result<T, E>,
    ) -> Result<T, PathError> {
        result.map_err(|source| PathError::new(action, self.dir.path_of(self.name), source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_with_its_contents_mode_and_time() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let name = OsStr::new("new");
        let mtime = Timestamp {
            seconds: -5,
            nanos: 7,
        };
        let mut file = dir.create_new_file(name, 0o600).unwrap();
        file.write_all(b"abc").unwrap();
        file.write_all_at(b"z", 9).unwrap();
        file.set_size(20).unwrap();
        file.set_mode(0o4711).unwrap();
        file.set_mtime(mtime).unwrap();
        let metadata = file.metadata().unwrap();
        assert_eq!((metadata.mode, metadata.mtime), (0o4711, mtime));
        let text = std::fs::read(temp.path().join("new")).unwrap();
        assert_eq!(text, b"abc\0\0\0\0\0\0z\0\0\0\0\0\0\0\0\0\0");
        let error = dir.create_new_file(name, 0o600).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    }
}
