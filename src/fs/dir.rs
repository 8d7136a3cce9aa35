//! An open directory, and what can be done to the names right inside it.
//!
//! Every operation takes one name, never a path: a name with a slash, `.` or `..` is refused, and no
//! operation follows a symbolic link. What a hostile archive calls its entries cannot matter here.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::inode::Handle;
use super::{FileKind, Inode, Ledger, PathContext, PathError};

/// An open directory.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    /// Where it was found: for messages only.
    path: PathBuf,
    /// Where the truth about the files is, if not in the files.
    ledger: Option<Arc<Ledger>>,
}

impl Dir {
    /// Opens the directory at `path`, following symbolic links: for paths that the user gave.
    pub fn open(path: &Path) -> Result<Self, PathError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).on("open directory", path)?;
        Ok(Self {
            fd,
            path: path.to_path_buf(),
            ledger: None,
        })
    }

    /// Reads and writes owners, modes, devices and capabilities through `ledger` from now on, and so does every
    /// directory and file that is opened from here. Costs one look-up in the ledger per file that is looked at.
    pub fn with_ledger(self, ledger: Arc<Ledger>) -> Self {
        Self {
            ledger: Some(ledger),
            ..self
        }
    }

    /// Returns where the truth about the files is; `None` where the files themselves say it.
    pub fn ledger(&self) -> Option<&Arc<Ledger>> {
        self.ledger.as_ref()
    }

    /// Wraps the descriptor of a directory in the same tree; `path` is used in messages only.
    pub(super) fn in_same_tree(&self, fd: OwnedFd, path: PathBuf) -> Self {
        Self {
            fd,
            path,
            ledger: self.ledger.clone(),
        }
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
        Ok(self.in_same_tree(fd, self.path.clone()))
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
            Ok(fd) => Ok(self.in_same_tree(fd, self.path_of(name))),
            Err(errno) => Err(self.error("open directory", name, errno)),
        }
    }

    /// Opens the regular file `name` for reading. Anything else is an error and is never opened.
    pub fn open_file(&self, name: &OsStr) -> Result<File, PathError> {
        self.check("open", name)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(&self.fd, name, flags, Mode::empty())
            .map_err(|errno| self.error("open", name, errno))?;
        self.open_regular(handle.as_fd(), &self.path_of(name))
    }

    /// Creates the regular file `name`, which must not exist, for writing.
    pub fn create_file(&self, name: &OsStr, mode: u32) -> Result<File, PathError> {
        self.check("create", name)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let real = self.possible_mode(FileKind::File, mode);
        let create = || -> Result<OwnedFd, Errno> {
            let fd = rustix::fs::openat(&self.fd, name, flags, Mode::from_raw_mode(real))?;
            if let Some(ledger) = &self.ledger {
                ledger.note_creation(Handle::Open(fd.as_fd()), mode, real)?;
            }
            Ok(fd)
        };
        match create() {
            Ok(fd) => Ok(File::from(fd)),
            Err(errno) => Err(self.error("create", name, errno)),
        }
    }

    /// Creates the directory `name`, which must not exist; the umask applies to `mode`.
    pub fn create_dir(&self, name: &OsStr, mode: u32) -> Result<(), PathError> {
        self.check("create directory", name)?;
        // The kernel takes no set-id bits here.
        let mode = mode & 0o1777;
        let real = self.possible_mode(FileKind::Directory, mode);
        let create = || -> Result<(), Errno> {
            rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(real))?;
            match &self.ledger {
                Some(ledger) => ledger.note_creation(self.handle(name), mode, real),
                None => Ok(()),
            }
        };
        create().map_err(|errno| self.error("create directory", name, errno))
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

    /// Creates the named pipe, socket or device `name`; the other kinds have calls of their own. With a ledger, an empty
    /// file stands for a device.
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
        let create = |file_type, mode, device| {
            let mode = Mode::from_raw_mode(mode);
            rustix::fs::mknodat(&self.fd, name, file_type, mode, device)
        };
        let result = match (&self.ledger, kind) {
            (Some(ledger), FileKind::CharDevice(_) | FileKind::BlockDevice(_)) => {
                let real = self.possible_mode(FileKind::File, mode);
                create(FileType::RegularFile, real, 0)
                    .and_then(|()| ledger.note_creation(self.handle(name), mode, real))
                    .and_then(|()| ledger.note_device(self.handle(name), kind))
            }
            (_, _) => create(file_type, mode, device),
        };
        result.map_err(|errno| self.error("create device", name, errno))
    }

    /// Removes the name of anything but a directory.
    pub fn remove_file(&self, name: &OsStr) -> Result<(), PathError> {
        self.check("remove", name)?;
        self.remove_name(name, || {
            rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())
        })
        .map_err(|errno| self.error("remove", name, errno))
    }

    /// Removes the empty directory `name`.
    pub fn remove_dir(&self, name: &OsStr) -> Result<(), PathError> {
        self.check("remove directory", name)?;
        self.remove_name(name, || {
            rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR)
        })
        .map_err(|errno| self.error("remove directory", name, errno))
    }

    /// Moves `name` to `new_name` in `new_dir`, replacing what is there.
    pub fn rename(&self, name: &OsStr, new_dir: &Dir, new_name: &OsStr) -> Result<(), PathError> {
        self.check("rename", name)?;
        new_dir.check("rename", new_name)?;
        let rename = || rustix::fs::renameat(&self.fd, name, &new_dir.fd, new_name);
        let is_same_file =
            || Inode::of_name(self, name).ok() == Inode::of_name(new_dir, new_name).ok();
        let result = match &new_dir.ledger {
            // What is replaced is gone, unless it is what replaces it.
            Some(ledger) if !is_same_file() => ledger.remove_name(new_dir.handle(new_name), rename),
            Some(_) | None => rename(),
        };
        result.map_err(|errno| self.error("rename", name, errno))
    }

    /// Returns the text of the symbolic link `name`.
    pub fn read_link(&self, name: &OsStr) -> Result<OsString, PathError> {
        self.check("read link", name)?;
        rustix::fs::readlinkat(&self.fd, name, Vec::new())
            .map(|target| OsString::from_vec(target.into_bytes()))
            .map_err(|errno| self.error("read link", name, errno))
    }

    /// Opens for reading what an `O_PATH` handle holds, provided that it is a regular file: opening a
    /// named pipe would wait for ever, and opening a device has effects.
    pub(super) fn open_regular(
        &self,
        handle: BorrowedFd<'_>,
        path: &Path,
    ) -> Result<File, PathError> {
        match self.look_at(handle).on("stat", path)?.kind {
            FileKind::File => {}
            FileKind::Directory => return Err(PathError::new("open", path, Errno::ISDIR)),
            FileKind::Symlink => return Err(PathError::new("open", path, Errno::LOOP)),
            FileKind::Fifo
            | FileKind::CharDevice(_)
            | FileKind::BlockDevice(_)
            | FileKind::Socket => return Err(PathError::new("open", path, Errno::INVAL)),
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(proc_path(handle), flags, Mode::empty()).on("open", path)?;
        Ok(File::from(fd))
    }

    /// Returns a path that leads to this very directory while it is open, whatever is renamed or put in its place.
    pub fn lasting_path(&self) -> PathBuf {
        proc_path(self.as_fd())
    }

    /// Removes a name by `remove`, also from the ledger.
    fn remove_name(
        &self,
        name: &OsStr,
        remove: impl FnOnce() -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        match &self.ledger {
            Some(ledger) => ledger.remove_name(self.handle(name), remove),
            None => remove(),
        }
    }

    /// Returns the mode with which something is really created.
    fn possible_mode(&self, kind: FileKind, mode: u32) -> u32 {
        match &self.ledger {
            Some(ledger) => ledger.possible_mode(kind, mode),
            None => mode,
        }
    }

    pub(super) fn handle<'a>(&'a self, name: &'a OsStr) -> Handle<'a> {
        Handle::Named(self.fd.as_fd(), name)
    }

    pub(super) fn own_handle(&self) -> Handle<'_> {
        Handle::Open(self.fd.as_fd())
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

pub(super) fn proc_path(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}
