//! What a file is, apart from its contents and its name.

use rustix::fs::{FileType, Stat, Statx};

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A character device with its device number.
    CharDevice(u64),
    /// A block device with its device number.
    BlockDevice(u64),
    /// A socket: never part of a layer.
    Socket,
}

/// Returns the device number that [`FileKind`] carries for a major and a minor number.
pub fn device_number(major: u32, minor: u32) -> u64 {
    rustix::fs::makedev(major, minor)
}

/// A point in time as files record it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Seconds since the Unix epoch; negative before it.
    pub seconds: i64,
    /// Nanoseconds within the second, 0 to 999,999,999.
    pub nanos: u32,
}

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self::from_seconds(0);

    /// Makes a whole second.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanos: 0 }
    }
}

/// What `lstat` says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Kind of the file.
    pub kind: FileKind,
    /// Unix mode bits, 0o7777 only.
    pub mode: u32,
    /// Owner, as this process's user namespace numbers it.
    pub uid: u32,
    /// Group, as this process's user namespace numbers it.
    pub gid: u32,
    /// Size in bytes; the target's length for a symbolic link.
    pub size: u64,
    /// Last change of the contents.
    pub mtime: Timestamp,
    /// Last change of the contents or the metadata, set by the kernel.
    pub ctime: Timestamp,
    /// Device of the file system that holds the file.
    pub dev: u64,
    /// Inode number on that device.
    pub ino: u64,
    /// Number of hard links.
    pub nlink: u64,
}

impl Metadata {
    /// Says whether this is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == FileKind::Directory
    }

    /// Says whether this is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind == FileKind::File
    }

    /// Says whether this is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.kind == FileKind::Symlink
    }

    /// Says whether overlayfs reads this as "deleted here": a character device 0:0.
    pub fn is_overlay_whiteout(&self) -> bool {
        self.kind == FileKind::CharDevice(0)
    }
}

// The integer widths of `stat` differ between architectures.
#[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
impl From<Stat> for Metadata {
    fn from(stat: Stat) -> Self {
        let kind = kind_of(stat.st_mode as u32, stat.st_rdev as u64);
        Self {
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: stat.st_size as u64,
            mtime: Timestamp {
                seconds: stat.st_mtime as i64,
                nanos: stat.st_mtime_nsec as u32,
            },
            ctime: Timestamp {
                seconds: stat.st_ctime as i64,
                nanos: stat.st_ctime_nsec as u32,
            },
            dev: stat.st_dev as u64,
            ino: stat.st_ino as u64,
            nlink: stat.st_nlink as u64,
        }
    }
}

impl From<&Statx> for Metadata {
    fn from(statx: &Statx) -> Self {
        let mode = u32::from(statx.stx_mode);
        let device = device_number(statx.stx_rdev_major, statx.stx_rdev_minor);
        let time = |time: rustix::fs::StatxTimestamp| Timestamp {
            seconds: time.tv_sec,
            nanos: time.tv_nsec,
        };
        Self {
            kind: kind_of(mode, device),
            mode: mode & 0o7777,
            uid: statx.stx_uid,
            gid: statx.stx_gid,
            size: statx.stx_size,
            mtime: time(statx.stx_mtime),
            ctime: time(statx.stx_ctime),
            dev: device_number(statx.stx_dev_major, statx.stx_dev_minor),
            ino: statx.stx_ino,
            nlink: statx.stx_nlink.into(),
        }
    }
}

fn kind_of(mode: u32, device: u64) -> FileKind {
    match FileType::from_raw_mode(mode) {
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        FileType::Fifo => FileKind::Fifo,
        FileType::CharacterDevice => FileKind::CharDevice(device),
        FileType::BlockDevice => FileKind::BlockDevice(device),
        FileType::Socket => FileKind::Socket,
        FileType::RegularFile | FileType::Unknown => FileKind::File,
    }
}
