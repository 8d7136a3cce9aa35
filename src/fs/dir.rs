//! An open directory, and what can be done to the names right inside it.
//!
//! Every operation takes one name, never a path: a name with a slash, `.` or `..` is refused, and no
//! operation follows a symbolic link. What a hostile archive calls its entries cannot matter here.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::{FileKind, Metadata, PathContext, PathError, Timestamp};

/// An open directory.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    /// Where it was found: for messages only.
    path: PathBuf,
}

impl Dir {
    /// Opens the directory at `path`, following symbolic links: for paths that the user gave.
    pub fn open(path: &Path) -> Result<Self, PathError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).on("open directory", path)?;
        Ok(Self::from_fd(fd, path.to_path_buf()))
    }

    /// Wraps a directory's descriptor; `path` is used in messages only.
    pub(super) fn from_fd(fd: OwnedFd, path: PathBuf) -> Self {
        Self { fd, path }
    }

    /// Returns the path under which the directory was opened, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of `name` in this directory, for messages.
    pub fn path_of(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    /// Opens a second handle on the same directory.
    pub fn try_clone(&self) -> Result<Self, PathError> {
        let fd = self.fd.try_clone().on("open directory", &self.path)?;
        Ok(Self::from_fd(fd, self.path.clone()))
    }

    /// Returns the metadata of the directory itself.
    pub fn metadata(&self) -> Result<Metadata, PathError> {
        Ok(rustix::fs::fstat(&self.fd).on("stat", &self.path)?.into())
    }

    /// Returns the metadata of `name`, or `None` where nothing has that name.
    pub fn metadata_of(&self, name: &OsStr) -> Result<Option<Metadata>, PathError> {
        self.check("stat", name)?;
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.error("stat", name, errno)),
        }
    }

    /// Returns the names in the directory, sorted by their bytes, without `.` and `..`.
    pub fn names(&self) -> Result<Vec<OsString>, PathError> {
        let mut names = Vec::new();
        // A handle of its own: reading a directory moves the position that handles share.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let own = rustix::fs::openat(&self.fd, ".", flags, Mode::empty())
            .on("read directory", &self.path)?;
        let mut reader = rustix::fs::Dir::new(own).on("read directory", &self.path)?;
        while let Some(entry) = reader.read() {
            let entry = entry.on("read directory", &self.path)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name.to_vec()));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Opens the directory `name`. A symbolic link is an error, not followed.
    pub fn open_dir(&self, name: &OsStr) -> Result<Dir, PathError> {
        self.check("open directory", name)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Self::from_fd(fd, self.path_of(name))),
            Err(errno) => Err(self.error("open directory", name, errno)),
        }
    }

    /// Opens the regular file `name` for reading. Anything else is an error and is never opened.
    pub fn open_file(&self, name: &OsStr) -> Result<File, PathError> {
        self.check("open", name)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(&self.fd, name, flags, Mode::empty())
            .map_err(|errno| self.error("open", name, errno))?;
        open_regular(handle.as_fd(), &self.path_of(name))
    }

    /// Creates the regular file `name`, which must not exist, for writing.
    pub fn create_file(&self, name: &OsStr, mode: u32) -> Result<File, PathError> {
        self.check("create", name)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, name, flags, Mode::from_raw_mode(mode)) {
            Ok(fd) => Ok(File::from(fd)),
            Err(errno) => Err(self.error("create", name, errno)),
        }
    }

    /// Creates the directory `name`, which must not exist; the umask applies to `mode`.
    pub fn create_dir(&self, name: &OsStr, mode: u32) -> Result<(), PathError> {
        self.check("create directory", name)?;
        rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(mode))
            .map_err(|errno| self.error("create directory", name, errno))
    }

    /// Creates the symbolic link `name` with the text `target`, which is not looked at.
    pub fn create_symlink(&self, target: &OsStr, name: &OsStr) -> Result<(), PathError> {
        self.check("create symbolic link", name)?;
        rustix::fs::symlinkat(target, &self.fd, name)
            .map_err(|errno| self.error("create symbolic link", name, errno))
    }

    /// Makes `name` another name of the file `source` in `source_dir`; links are not followed.
    pub fn create_hard_link(
        &self,
        source_dir: &Dir,
        source: &OsStr,
        name: &OsStr,
    ) -> Result<(), PathError> {
        self.check("create hard link", name)?;
        source_dir.check("create hard link", source)?;
        rustix::fs::linkat(&source_dir.fd, source, &self.fd, name, AtFlags::empty())
            .map_err(|errno| self.error("create hard link", name, errno))
    }

    /// Creates the named pipe or device `name`; the other kinds have calls of their own.
    pub fn create_node(&self, name: &OsStr, kind: FileKind, mode: u32) -> Result<(), PathError> {
        self.check("create device", name)?;
        let (file_type, device) = match kind {
            FileKind::Fifo => (FileType::Fifo, 0),
            FileKind::CharDevice(device) => (FileType::CharacterDevice, device),
            FileKind::BlockDevice(device) => (FileType::BlockDevice, device),
            FileKind::Socket => (FileType::Socket, 0),
            FileKind::File => (FileType::RegularFile, 0),
            FileKind::Directory | FileKind::Symlink => {
                return Err(self.error("create device", name, Errno::INVAL));
            }
        };
        rustix::fs::mknodat(&self.fd, name, file_type, Mode::from_raw_mode(mode), device)
            .map_err(|errno| self.error("create device", name, errno))
    }

    /// Removes the name of anything but a directory.
    pub fn remove_file(&self, name: &OsStr) -> Result<(), PathError> {
        self.check("remove", name)?;
        rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())
            .map_err(|errno| self.error("remove", name, errno))
    }

    /// Removes the empty directory `name`.
    pub fn remove_dir(&self, name: &OsStr) -> Result<(), PathError> {
        self.check("remove directory", name)?;
        rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR)
            .map_err(|errno| self.error("remove directory", name, errno))
    }

    /// Moves `name` to `new_name` in `new_dir`, replacing what is there.
    pub fn rename(&self, name: &OsStr, new_dir: &Dir, new_name: &OsStr) -> Result<(), PathError> {
        self.check("rename", name)?;
        new_dir.check("rename", new_name)?;
        rustix::fs::renameat(&self.fd, name, &new_dir.fd, new_name)
            .map_err(|errno| self.error("rename", name, errno))
    }

    /// Returns the text of the symbolic link `name`.
    pub fn read_link(&self, name: &OsStr) -> Result<OsString, PathError> {
        self.check("read link", name)?;
        rustix::fs::readlinkat(&self.fd, name, Vec::new())
            .map(|target| OsString::from_vec(target.into_bytes()))
            .map_err(|errno| self.error("read link", name, errno))
    }

    /// Sets owner and group of `name` itself. The kernel clears setuid bits: set the mode after.
    pub fn set_owner(&self, name: &OsStr, uid: u32, gid: u32) -> Result<(), PathError> {
        self.check("change owner of", name)?;
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(&self.fd, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| self.error("change owner of", name, errno))
    }

    /// Sets the mode bits of `name`, which must not be a symbolic link.
    pub fn set_mode(&self, name: &OsStr, mode: u32) -> Result<(), PathError> {
        self.check("change mode of", name)?;
        // fchmodat follows links and its flag to forbid that is new (Linux 6.6): hold the file itself.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let change = || -> Result<(), Errno> {
            let handle = rustix::fs::openat(&self.fd, name, flags, Mode::empty())?;
            if FileType::from_raw_mode(rustix::fs::fstat(&handle)?.st_mode).is_symlink() {
                return Err(Errno::LOOP);
            }
            rustix::fs::chmod(proc_path(handle.as_fd()), Mode::from_raw_mode(mode))
        };
        change().map_err(|errno| self.error("change mode of", name, errno))
    }

    /// Sets the modification time of `name` itself; the access time is set to the same.
    pub fn set_mtime(&self, name: &OsStr, mtime: Timestamp) -> Result<(), PathError> {
        self.check("change time of", name)?;
        let spec = timespec(mtime);
        let times = Timestamps {
            last_access: spec,
            last_modification: spec,
        };
        rustix::fs::utimensat(&self.fd, name, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| self.error("change time of", name, errno))
    }

    /// Sets the owner of the directory itself.
    pub fn set_own_owner(&self, uid: u32, gid: u32) -> Result<(), PathError> {
        rustix::fs::fchown(&self.fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .on("change owner of", &self.path)
    }

    /// Sets the mode bits of the directory itself.
    pub fn set_own_mode(&self, mode: u32) -> Result<(), PathError> {
        rustix::fs::fchmod(&self.fd, Mode::from_raw_mode(mode)).on("change mode of", &self.path)
    }

    /// Sets the modification time of the directory itself.
    pub fn set_own_mtime(&self, mtime: Timestamp) -> Result<(), PathError> {
        let spec = timespec(mtime);
        let times = Timestamps {
            last_access: spec,
            last_modification: spec,
        };
        rustix::fs::futimens(&self.fd, &times).on("change time of", &self.path)
    }

    pub(super) fn check(&self, action: &'static str, name: &OsStr) -> Result<(), PathError> {
        let bytes = name.as_bytes();
        let is_plain = !bytes.is_empty() && bytes != b"." && bytes != b"..";
        if is_plain && !bytes.contains(&b'/') && !bytes.contains(&0) {
            return Ok(());
        }
        Err(self.error(action, name, Errno::INVAL))
    }

    pub(super) fn error(&self, action: &'static str, name: &OsStr, errno: Errno) -> PathError {
        PathError::new(action, self.path_of(name), errno)
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Opens for reading what an `O_PATH` handle holds, provided that it is a regular file: opening a
/// named pipe would wait for ever, and opening a device has effects.
pub(super) fn open_regular(handle: BorrowedFd<'_>, path: &Path) -> Result<File, PathError> {
    let metadata: Metadata = rustix::fs::fstat(handle).on("stat", path)?.into();
    match metadata.kind {
        FileKind::File => {}
        FileKind::Directory => return Err(PathError::new("open", path, Errno::ISDIR)),
        FileKind::Symlink => return Err(PathError::new("open", path, Errno::LOOP)),
        FileKind::Fifo | FileKind::CharDevice(_) | FileKind::BlockDevice(_) | FileKind::Socket => {
            return Err(PathError::new("open", path, Errno::INVAL));
        }
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(proc_path(handle), flags, Mode::empty()).on("open", path)?;
    Ok(File::from(fd))
}

pub(super) fn proc_path(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

pub(super) fn timespec(time: Timestamp) -> Timespec {
    Timespec {
        tv_sec: time.seconds,
        tv_nsec: time.nanos.into(),
    }
}
