//! A step in the small: an overlay mount over a tree, closed before its changes are read.

use std::fmt::Write as _;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use crate::fs::Root;
use crate::image::layer_entry::EntryKind;
use crate::image::overlay::OverlayXattrs;
use crate::snapshot::Excluded;
use crate::snapshot::change::{Change, DiffError, Summary};
use crate::snapshot::overlay::OverlayDiff;

/// Modification time of everything that a step finds: long before whatever the step makes.
const LOWER_SECONDS: u64 = 1_000_000_000;

pub(in crate::snapshot) struct Step {
    temp: tempfile::TempDir,
    pub(in crate::snapshot) xattrs: OverlayXattrs,
    pub(in crate::snapshot) excluded: Excluded,
}

impl Step {
    /// Makes the tree below the step.
    pub(in crate::snapshot) fn over(xattrs: OverlayXattrs, prepare: impl FnOnce(&Path)) -> Self {
        let temp = tempfile::tempdir().unwrap();
        for name in ["lower", "upper", "work"] {
            std::fs::create_dir(temp.path().join(name)).unwrap();
        }
        let step = Self {
            temp,
            xattrs,
            excluded: Excluded::new(),
        };
        prepare(&step.path("lower"));
        age(&step.path("lower"));
        step
    }

    pub(in crate::snapshot) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// Runs the step on the merged tree.
    pub(in crate::snapshot) fn run(self, work: impl FnOnce(&Path)) -> Self {
        let merged = self.mount();
        work(&merged.path());
        self
    }

    pub(in crate::snapshot) fn mount(&self) -> Mount {
        Mount::of(
            &self.path("lower"),
            Some((&self.path("upper"), &self.path("work"))),
            self.xattrs,
        )
    }

    /// Returns the changes as lines, one letter for the kind and then the path.
    pub(in crate::snapshot) fn changes(&self) -> Vec<String> {
        self.try_changes().unwrap().0
    }

    pub(in crate::snapshot) fn try_changes(&self) -> Result<(Vec<String>, Summary), DiffError> {
        let upper = Root::open(&self.path("upper"))?;
        let lower = Root::open(&self.path("lower"))?;
        let mut lines = Vec::new();
        let summary = self.diff(&upper, &lower).visit(|change| {
            lines.push(line(&change));
            Ok::<(), DiffError>(())
        })?;
        Ok((lines, summary))
    }

    pub(in crate::snapshot) fn diff<'a>(
        &'a self,
        upper: &'a Root,
        lower: &'a Root,
    ) -> OverlayDiff<'a> {
        OverlayDiff {
            upper,
            lower,
            xattrs: self.xattrs,
            excluded: &self.excluded,
        }
    }
}

/// A mount that no path leads to: it ends with its descriptor.
pub(in crate::snapshot) struct Mount(OwnedFd);

impl Mount {
    pub(in crate::snapshot) fn of(
        lower: &Path,
        upper_and_work: Option<(&Path, &Path)>,
        xattrs: OverlayXattrs,
    ) -> Self {
        let set = || -> rustix::io::Result<OwnedFd> {
            let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
            fsconfig_set_string(&context, "lowerdir", lower)?;
            if let Some((upper, work)) = upper_and_work {
                fsconfig_set_string(&context, "upperdir", upper)?;
                fsconfig_set_string(&context, "workdir", work)?;
                fsconfig_set_flag(&context, "volatile")?;
            }
            if xattrs == OverlayXattrs::User {
                fsconfig_set_flag(&context, "userxattr")?;
            }
            let options = [
                ("index", "off"),
                ("metacopy", "off"),
                ("redirect_dir", "nofollow"),
                ("xino", "off"),
            ];
            for (key, value) in options {
                fsconfig_set_string(&context, key, value)?;
            }
            fsconfig_create(&context)?;
            let flags = FsMountFlags::FSMOUNT_CLOEXEC;
            fsmount(&context, flags, MountAttrFlags::empty())
        };
        Self(set().expect("an overlay mount: this test needs root and CAP_SYS_ADMIN"))
    }

    pub(in crate::snapshot) fn path(&self) -> PathBuf {
        // By process id, so that commands of the test find it as well.
        PathBuf::from(format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            self.0.as_raw_fd()
        ))
    }
}

/// Writes one change as a line, one letter for the kind and then the path.
pub(in crate::snapshot) fn line(change: &Change<'_>) -> String {
    let (entry, file) = match change {
        Change::Removed(path) => return format!("- {}", path.display()),
        Change::Present(entry, file) => (entry, file),
    };
    let path = String::from_utf8_lossy(entry.path.as_os_str().as_bytes());
    let is_file = matches!(entry.kind, EntryKind::File { .. });
    assert_eq!(file.is_some(), is_file, "{path}: only files come open");
    let mut line = match &entry.kind {
        EntryKind::File { size } => format!("f {path} {size}"),
        EntryKind::Directory => format!("d {path}"),
        EntryKind::Symlink { target } => format!("l {path} -> {}", target.display()),
        EntryKind::HardLink { target } => format!("h {path} => {}", target.display()),
        EntryKind::Fifo => format!("p {path}"),
        EntryKind::CharDevice(device) => format!("c {path} {device:x}"),
        EntryKind::BlockDevice(device) => format!("b {path} {device:x}"),
    };
    for (key, value) in &entry.xattrs {
        write!(line, " {}={}", key.display(), value.escape_ascii()).unwrap();
    }
    line
}

/// Gives everything below `root` the same old time, contents before their directory.
pub(in crate::snapshot) fn age(root: &Path) {
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(LOWER_SECONDS, 123_456_789);
    for entry in walkdir::WalkDir::new(root).contents_first(true) {
        set_mtime(entry.unwrap().path(), time);
    }
}

pub(in crate::snapshot) fn set_mtime(path: &Path, time: std::time::SystemTime) {
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap();
    let spec = rustix::fs::Timespec {
        tv_sec: since.as_secs().cast_signed(),
        tv_nsec: since.subsec_nanos().into(),
    };
    let times = rustix::fs::Timestamps {
        last_access: spec,
        last_modification: spec,
    };
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, flags).unwrap();
}
