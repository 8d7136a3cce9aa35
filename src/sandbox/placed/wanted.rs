//! What a command needs in a tree, and where. Nothing is put anywhere here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::fs::{FileKind, PathError, Root, device_number};
use crate::sandbox::secret::Secret;
use crate::sandbox::step_mount::Access;

/// Something that a command needs, and where.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Wanted {
    /// Inside the root; links are followed.
    pub(in crate::sandbox) path: PathBuf,
    pub(in crate::sandbox) thing: Thing,
}

/// What it is.
#[derive(Debug, Clone)]
pub(in crate::sandbox) enum Thing {
    /// A directory to mount something on. One of the image is used; what is in one of ours afterwards
    /// goes with it.
    Directory,
    /// A file to mount something on. One of the image is used.
    FilePoint,
    /// A file in place of the image's.
    File {
        /// All of it.
        contents: Vec<u8>,
        /// Mode bits, 0o7777 only. The owner is root.
        mode: u32,
    },
    /// As `File`, with an owner, and contents that nobody may print.
    Secret {
        contents: Secret,
        access: Access,
        /// Told when it is taken back.
        is_changed: ChangedMark,
    },
    /// Whatever has this name in a directory on the tree's file system, in place of the image's. Afterwards it is
    /// there again, with what the command did to it.
    Moved { home: Arc<Root>, name: OsString },
    /// A device that everybody may use, in place of anything else of that name in the image.
    Device(FileKind),
    /// A symbolic link with this text, where the image has nothing.
    Link(OsString),
}

/// Set when a file is taken back that is not what it was: the command has written to it, or to its name.
#[derive(Debug, Clone, Default)]
pub(in crate::sandbox) struct ChangedMark(Arc<AtomicBool>);

impl ChangedMark {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(in crate::sandbox) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Returns the devices that every container has, and the links beside them. `dev` is the directory.
pub(in crate::sandbox) fn devices(dev: &Path) -> Vec<Wanted> {
    let device = |(name, major, minor): &(&str, u32, u32)| Wanted {
        path: dev.join(name),
        thing: Thing::Device(FileKind::CharDevice(device_number(*major, *minor))),
    };
    let link = |(name, target): &(&str, &str)| Wanted {
        path: dev.join(name),
        thing: Thing::Link(OsString::from(target)),
    };
    let devices = DEVICES.iter().map(device);
    devices.chain(LINKS.iter().map(link)).collect()
}

/// What a mount point that is a file looks like.
pub(super) const ROOTS_FILE: Access = Access {
    uid: 0,
    gid: 0,
    mode: 0o644,
};

/// Name, major and minor number (kernel, admin-guide/devices.txt).
pub(super) const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];
/// They lead nowhere without `/proc`, but programs find them, and say so.
pub(super) const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Returns where it is to be in `tree`, without links on the way.
pub(super) fn place_of(tree: &Root, wanted: &Wanted) -> Result<PathBuf, PathError> {
    match (&wanted.thing, wanted.path.parent(), wanted.path.file_name()) {
        // Where the image has a link, that is the link: what it leads to is not there without `/proc`.
        (Thing::Link(_), Some(above), Some(name)) => Ok(tree.resolve(above)?.join(name)),
        (
            Thing::Directory
            | Thing::FilePoint
            | Thing::File { .. }
            | Thing::Secret { .. }
            | Thing::Moved { .. }
            | Thing::Device(_)
            | Thing::Link(_),
            _,
            _,
        ) => tree.resolve(&wanted.path),
    }
}
