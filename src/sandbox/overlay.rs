//! Overlay mounts of a work directory's layers, and finding out whether they work in it.
//!
//! A mount that succeeds proves nothing: without the right options some kernels mount and then fail
//! to delete. [`probe`] does what steps do, and looks at what the overlay wrote.

use std::ffi::{CString, OsStr};
use std::fmt::Write as _;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::fs::{Dir, PathContext, PathError};
use crate::image::OverlayXattrs;
use crate::sys::{self, Errno, MountFlags};

use super::failure::Failure;

/// Options of a mount with an upper directory, best first.
///
/// No option may stay at the kernel's default, which differs between distributions. Hard links and
/// renames break as they do under every other builder (`index=off`, `redirect_dir=nofollow`), files
/// are copied up whole (`metacopy=off`), and nothing waits for the disk (`volatile`): a step's
/// directories are worthless after a crash. The later entries are for kernels before 5.10 and 4.19.
const FEATURES: [&str; 3] = [
    "index=off,metacopy=off,redirect_dir=nofollow,xino=off,volatile",
    "index=off,metacopy=off,redirect_dir=nofollow",
    "index=off,redirect_dir=nofollow",
];

/// Lower directories that one overlay can have (Linux, fs/overlayfs: `OVL_MAX_STACK`).
const LOWER_MAX: usize = 500;

/// The kernel takes a mount's options as one page, with the NUL at the end.
const OPTIONS_BYTES_MAX: usize = 4095;

/// The mount of an overlay, as messages name it.
pub(super) const MOUNT: &str = "mount overlay";

/// How overlays are mounted here.
#[derive(Debug, Clone, Copy)]
pub(super) struct OverlayOptions {
    pub(super) xattrs: OverlayXattrs,
    features: &'static str,
}

/// Directories of one overlay, as names relative to the work directory.
#[derive(Debug)]
pub(super) struct Overlay<'a> {
    /// Bottom first; at least one, two where there is no upper directory.
    pub(super) lower: &'a [String],
    /// The directory that takes the changes and the one overlayfs works in. `None` for a view that
    /// cannot be written to.
    pub(super) upper: Option<(&'a str, &'a str)>,
    /// Where it is mounted.
    pub(super) target: &'a str,
}

/// An overlay that could not be mounted.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// More directories than one mount can have.
    #[error("an image of {0} layers and steps is more than one overlay mount can hold")]
    TooManyLayers(usize),
    /// The kernel refused.
    #[error("cannot mount an overlay of {layers} directories on `{}`", target.display())]
    Mount {
        /// Lower directories.
        layers: usize,
        /// The mount point.
        target: PathBuf,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
    /// No thread could be started to mount it.
    #[error("cannot start a thread to mount an overlay")]
    Thread(#[source] std::io::Error),
}

impl OverlayOptions {
    /// Mounts `overlay` in the directory `work`.
    ///
    /// Without the right to open devices: a root step with CAP_MKNOD would reach the machine's
    /// disks. Programs with a setuid bit work.
    pub(super) fn mount(self, work: &Dir, overlay: &Overlay<'_>) -> Result<(), OverlayError> {
        let options = self.text(overlay);
        let options = CString::new(options).expect("the names are ours and have no NUL");
        if options.as_bytes().len() > OPTIONS_BYTES_MAX || overlay.lower.len() > LOWER_MAX {
            return Err(OverlayError::TooManyLayers(overlay.lower.len()));
        }
        let flags = match overlay.upper {
            Some(_) => MountFlags::NODEV,
            None => MountFlags::NODEV | MountFlags::NOSUID | MountFlags::RDONLY,
        };
        let target = Path::new(overlay.target);
        let mount = || -> Result<(), Errno> {
            sys::change_dir_of_this_thread(work.as_fd())?;
            sys::mount(c"overlay", target, flags, &options)
        };
        let result = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().spawn_scoped(scope, mount);
            let answer = thread.map_err(OverlayError::Thread)?.join();
            Ok(answer.unwrap_or(Err(Errno::IO)))
        })?;
        result.map_err(|errno| OverlayError::Mount {
            layers: overlay.lower.len(),
            target: work.path().join(target),
            source: errno.into(),
        })
    }

    fn text(self, overlay: &Overlay<'_>) -> String {
        let mut text = String::new();
        match self.xattrs {
            OverlayXattrs::Trusted => {}
            OverlayXattrs::User => text.push_str("userxattr,"),
        }
        let features = match overlay.upper {
            Some(_) => self.features,
            // There is nothing to be volatile.
            None => self.features.trim_end_matches(",volatile"),
        };
        text.push_str(features);
        text.push_str(",lowerdir=");
        // The kernel wants the topmost first.
        for (index, lower) in overlay.lower.iter().rev().enumerate() {
            if index > 0 {
                text.push(':');
            }
            text.push_str(lower);
        }
        if let Some((upper, work)) = overlay.upper {
            let _ = write!(text, ",upperdir={upper},workdir={work}");
        }
        text
    }
}

/// Finds the options under which overlays work in the directory `work`, which is left as it was.
/// The kinds of attributes are tried in the order of `kinds`.
pub(super) fn probe(work: &Dir, kinds: &[OverlayXattrs]) -> Result<OverlayOptions, Failure> {
    let mut first_failure = None;
    for xattrs in kinds {
        for features in FEATURES {
            let options = OverlayOptions {
                xattrs: *xattrs,
                features,
            };
            match try_options(work, options) {
                Ok(()) => return Ok(options),
                Err(failure) => {
                    tracing::debug!(?xattrs, features, %failure, "overlay does not work");
                    first_failure.get_or_insert(failure);
                }
            }
        }
    }
    Err(first_failure.unwrap_or_else(|| Failure::new("overlay", Errno::INVAL)))
}

const PROBE: &str = "probe";

fn try_options(work: &Dir, options: OverlayOptions) -> Result<(), Failure> {
    let name = OsStr::new(PROBE);
    let outcome = (|| {
        prepare_probe(work)?;
        let overlay = Overlay {
            lower: &["probe/l".to_owned()],
            upper: Some(("probe/u", "probe/w")),
            target: "probe/m",
        };
        options.mount(work, &overlay)?;
        let outcome = (|| {
            let probe = work.open_dir(name)?;
            use_overlay(&probe.open_dir(OsStr::new("m"))?)?;
            look_at_upper(&probe.open_dir(OsStr::new("u"))?, options.xattrs)
        })();
        let target = work.path_of(name).join("m");
        sys::unmount(&target).map_err(|errno| Failure::new("unmount overlay", errno))?;
        outcome
    })();
    crate::fs::remove_tree(work, name)?;
    outcome
}

/// Lays out `probe/{l,u,w,m}`, the lower directory with a file in a directory.
fn prepare_probe(work: &Dir) -> Result<(), PathError> {
    work.create_dir(OsStr::new(PROBE), 0o700)?;
    let probe = work.open_dir(OsStr::new(PROBE))?;
    for name in ["l", "u", "w", "m"] {
        probe.create_dir(OsStr::new(name), 0o755)?;
    }
    let lower = probe.open_dir(OsStr::new("l"))?;
    lower.create_file(OsStr::new("gone"), 0o644)?;
    lower.create_dir(OsStr::new("d"), 0o755)?;
    let dir = lower.open_dir(OsStr::new("d"))?;
    dir.create_file(OsStr::new("x"), 0o644)?;
    Ok(())
}

/// Deletes, replaces and renames in the merged tree: each fails somewhere under wrong options.
fn use_overlay(merged: &Dir) -> Result<(), PathError> {
    let d = OsStr::new("d");
    merged.remove_file(OsStr::new("gone"))?;
    merged.open_dir(d)?.remove_file(OsStr::new("x"))?;
    merged.remove_dir(d)?;
    merged.create_dir(d, 0o755)?;
    merged.create_dir(OsStr::new("fresh"), 0o755)?;
    merged.rename(OsStr::new("fresh"), merged, OsStr::new("renamed"))
}

/// Checks that the upper directory says what was done, in the words that a layer is made from.
fn look_at_upper(upper: &Dir, xattrs: OverlayXattrs) -> Result<(), Failure> {
    let gone = upper.metadata_of(OsStr::new("gone"))?;
    if !gone.is_some_and(|metadata| metadata.is_overlay_whiteout()) {
        return Err(Failure::new(
            "find the whiteout of a deleted file",
            Errno::NOENT,
        ));
    }
    let opaque = upper.xattr(OsStr::new("d"), xattrs.opaque_key())?;
    if opaque.as_deref() != Some(b"y") {
        return Err(Failure::new(
            "find the mark of a replaced directory",
            Errno::NODATA,
        ));
    }
    Ok(())
}

impl From<PathError> for Failure {
    fn from(error: PathError) -> Self {
        let operation = format!("{} `{}`", error.action, error.path.display());
        Self::from_io(operation, &error.source)
    }
}

impl From<OverlayError> for Failure {
    fn from(error: OverlayError) -> Self {
        match &error {
            OverlayError::TooManyLayers(_) => Self::new("overlay", Errno::TOOBIG),
            OverlayError::Mount { source, .. } => Self::from_io(MOUNT, source),
            OverlayError::Thread(source) => Self::from_io("start thread", source),
        }
    }
}

/// Unmounts what was mounted under `name` in `work`; nothing there is success.
pub(super) fn unmount(work: &Dir, name: &str) -> Result<(), PathError> {
    let target = work.path().join(name);
    match sys::unmount(&target) {
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno).on("unmount", target),
    }
}
