//! Which file something is, whatever it is called: its identity, and the two ways to point at it.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Mode, Statx, StatxFlags};
use rustix::io::Errno;

use super::Metadata;
use super::dir::proc_path;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// The identity of a file for as long as it exists: all its names have one, and a file that gets the number of one
/// that was removed has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Inode {
    /// Device of the file system that holds the file.
    pub dev: u64,
    /// Inode number on that device.
    pub ino: u64,
    /// When the file was made, in nanoseconds since the Unix epoch. 0 where the file system does not say (NFS, tmpfs
    /// before Linux 6.0) or the kernel has no `statx`: there a number that is used again cannot be told from the old
    /// one, so whoever removes or makes files must have them [forgotten](super::Ledger::forget).
    pub born: i64,
}

impl Inode {
    /// Returns the identity of an open file; a descriptor opened with `O_PATH` will do. The caller knows what the file
    /// is called, so the bare error is returned.
    pub fn of(file: impl AsFd) -> Result<Self, Errno> {
        Ok(Handle::Open(file.as_fd()).look()?.0)
    }

    /// Returns the identity of `name` itself in an open directory: links are not followed.
    pub fn of_name(dir: impl AsFd, name: &OsStr) -> Result<Self, Errno> {
        Ok(Handle::Named(dir.as_fd(), name).look()?.0)
    }
}

impl From<&Statx> for Inode {
    fn from(statx: &Statx) -> Self {
        let has_birth = statx.stx_mask & StatxFlags::BTIME.bits() != 0;
        let birth = &statx.stx_btime;
        let nanos = birth.tv_sec.saturating_mul(NANOS_PER_SECOND);
        Self {
            dev: rustix::fs::makedev(statx.stx_dev_major, statx.stx_dev_minor),
            ino: statx.stx_ino,
            born: match has_birth {
                true => nanos.saturating_add(birth.tv_nsec.into()),
                false => 0,
            },
        }
    }
}

/// A file that is open, or a name in an open directory, which is not followed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Handle<'a> {
    /// A file by its descriptor, which may be an `O_PATH` one.
    Open(BorrowedFd<'a>),
    /// A name in a directory.
    Named(BorrowedFd<'a>, &'a OsStr),
}

impl<'a> Handle<'a> {
    /// Returns which file this is, and what the kernel says of it.
    pub(super) fn look(self) -> Result<(Inode, Metadata), Errno> {
        let (fd, name, flags) = self.parts();
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        match rustix::fs::statx(fd, name, flags, wanted) {
            Ok(statx) => Ok((Inode::from(&statx), Metadata::from(&statx))),
            // Seccomp profiles that are older than the call refuse it, to everybody alike.
            Err(Errno::NOSYS) => {
                let metadata = Metadata::from(rustix::fs::statat(fd, name, flags)?);
                let inode = Inode {
                    dev: metadata.dev,
                    ino: metadata.ino,
                    born: 0,
                };
                Ok((inode, metadata))
            }
            Err(errno) => Err(errno),
        }
    }

    /// Changes the owner to what it is: the kernel sets the change time and, as for any other change of owner, clears
    /// set-id bits and file capabilities. Whoever owns a file may do this.
    pub(super) fn keep_owner(self) -> Result<(), Errno> {
        let (fd, name, flags) = self.parts();
        rustix::fs::chownat(fd, name, None, None, flags)
    }

    /// Sets the mode bits. A symbolic link must not be behind this.
    pub(super) fn chmod(self, mode: u32) -> Result<(), Errno> {
        let mode = Mode::from_raw_mode(mode);
        match self {
            // By the magic link: `fchmod` takes no O_PATH descriptors.
            Self::Open(fd) => rustix::fs::chmod(proc_path(fd), mode),
            Self::Named(dir, name) => rustix::fs::chmodat(dir, name, mode, AtFlags::empty()),
        }
    }

    fn parts(self) -> (BorrowedFd<'a>, &'a OsStr, AtFlags) {
        match self {
            Self::Open(fd) => (fd, OsStr::new(""), AtFlags::EMPTY_PATH),
            Self::Named(dir, name) => (dir, name, AtFlags::SYMLINK_NOFOLLOW),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Dir;

    #[test]
    fn a_file_is_the_same_under_all_its_names_and_by_descriptor() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let (one, two) = (OsStr::new("one"), OsStr::new("two"));
        let file = dir.create_file(one, 0o600).unwrap();
        dir.create_hard_link(&dir, one, two).unwrap();
        let inode = Inode::of(&file).unwrap();
        assert_eq!(Inode::of_name(&dir, one), Ok(inode));
        assert_eq!(Inode::of_name(&dir, two), Ok(inode));
        dir.create_symlink(one, OsStr::new("link")).unwrap();
        assert_ne!(Inode::of_name(&dir, OsStr::new("link")), Ok(inode));
        let metadata = dir.metadata_of(one).unwrap().unwrap();
        assert_eq!((inode.dev, inode.ino), (metadata.dev, metadata.ino));
        assert_eq!(Handle::Open(file.as_fd()).look().unwrap().1, metadata);
    }

    /// Says whether the kernel gives files times that are finer than the ticks of its clock where somebody has looked.
    fn has_fine_times() -> bool {
        let system = rustix::system::uname();
        let release = system.release().to_str().unwrap();
        let mut numbers = release
            .split(['.', '-'])
            .map_while(|part| part.parse::<u32>().ok());
        (numbers.next(), numbers.next()) >= (Some(6), Some(13))
    }

    #[test]
    fn what_is_looked_at_before_it_is_changed_has_another_identity_than_what_comes_after_it() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let name = OsStr::new("again");
        let mut seen = std::collections::BTreeSet::new();
        // On older kernels it holds from one tick of the clock to the next only.
        let rounds = if has_fine_times() { 200 } else { 1 };
        for _ in 0..rounds {
            drop(dir.create_file(name, 0o600).unwrap());
            let handle = Handle::Named(dir.as_fd(), name);
            let (inode, _) = handle.look().unwrap();
            handle.keep_owner().unwrap();
            dir.remove_file(name).unwrap();
            assert!(seen.insert(inode), "{inode:?} came again");
        }
    }
}
