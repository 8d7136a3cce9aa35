//! Where a step runs: entering the isolation that this machine allows, the root directory of a
//! stage, and running a command in it.
//!
//! This room knows namespaces, mounts and processes. It must not know Dockerfiles, caches or
//! registries, and prints nothing. What a step changed is read by `snapshot`; here it is only kept.
//!
//! The order is fixed: [`enter`] before any thread, then a [`Rootfs`] for each stage, in it a
//! [`Step`] for each instruction that touches files, which becomes a [`FrozenStep`].

mod command;
mod enter;
mod failure;
mod follow;
mod id_map;
mod isolation;
mod mounts;
mod network_files;
mod overlay;
mod owners;
mod places;
mod probe;
mod program;
mod removal;
mod rootfs;
mod run;
mod step;
mod stop;
mod stubs;
mod user;
mod userns;
mod view;
mod work_dir;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::fs::{Dir, PathError};
use crate::image::OverlayXattrs;
use crate::sys::ArgumentArea;

use self::network_files::NetworkFiles;
use self::overlay::{Overlay, OverlayOptions};
use self::work_dir::WorkDir;

pub use self::command::{Command, Exit, Network, ShownFile, Stream};
pub use self::enter::{EnterError, EnterOptions, enter};
pub use self::failure::Failure;
pub use self::isolation::{Isolation, Mode, UnknownIsolation};
pub use self::overlay::OverlayError;
pub use self::owners::{EmulationSummary, Identity, OwnerEmulation};
pub use self::probe::Attempt;
pub use self::rootfs::{LayerDir, Rootfs, RootfsError};
pub use self::run::RunError;
pub use self::step::{FrozenStep, Step};
pub use self::stop::{Stop, StopError};
pub use self::user::{ResolvedUser, UserError, resolve_user};
pub use self::view::View;

/// Directories of a work directory. Their names are short because all layers of an image must fit
/// into the options of one mount.
mod room {
    /// Layers: the base's, and the upper directories of steps.
    pub(super) const LAYERS: &str = "l";
    /// Overlays' own work directories.
    pub(super) const WORK: &str = "w";
    /// Mount points of merged trees and views.
    pub(super) const MERGED: &str = "m";
    /// Layers of mount points that an image lacks.
    pub(super) const STUBS: &str = "b";
    /// Empty layers: an overlay needs one below it, a view two.
    pub(super) const EMPTY: &str = "e";
    /// Where a step mounts a small file system for files of ours, seen by that step only.
    pub(super) const FILES: &str = "f";
}

/// The isolation that this process is in, and the directory it works in.
///
/// When the last handle goes, or by [`Sandbox::close`], the directory is removed.
#[derive(Debug, Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

/// What was found out and made on the way in.
#[derive(Debug)]
struct Setting {
    mode: Mode,
    attempts: Vec<Attempt>,
    work_dir: WorkDir,
    overlay: OverlayOptions,
    can_mount_sysfs: bool,
    has_tty_group: bool,
    argument_area: Option<ArgumentArea>,
}

#[derive(Debug)]
struct Inner {
    setting: Setting,
    network_files: NetworkFiles,
    next_number: AtomicU32,
    is_removed: AtomicBool,
}

impl Sandbox {
    fn new(setting: Setting) -> Result<Self, PathError> {
        let inner = Inner {
            setting,
            network_files: NetworkFiles::of_this_machine(),
            next_number: AtomicU32::new(0),
            is_removed: AtomicBool::new(false),
        };
        let work = inner.dir();
        for room in [
            room::LAYERS,
            room::WORK,
            room::MERGED,
            room::STUBS,
            room::EMPTY,
            room::FILES,
        ] {
            work.create_dir(room.as_ref(), 0o700)?;
        }
        let empty = work.open_dir(room::EMPTY.as_ref())?;
        for name in ["0", "1"] {
            empty.create_dir(name.as_ref(), 0o755)?;
            // Whatever the umask is.
            empty.set_mode(name.as_ref(), 0o755)?;
        }
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Returns the mode that was entered.
    pub fn mode(&self) -> Mode {
        self.inner.setting.mode
    }

    /// Returns the modes that were tried before and did not work, in that order. Empty where the
    /// first one worked.
    pub fn attempts(&self) -> &[Attempt] {
        &self.inner.setting.attempts
    }

    /// Returns one line that says which isolation this is, and why no stronger one.
    pub fn description(&self) -> String {
        let what = match self.mode() {
            Mode::Ns => "ns (namespaces, as root)",
            Mode::Userns => "userns (namespaces, root is this user, ids from /etc/subuid)",
        };
        let attempts: Vec<String> = self.attempts().iter().map(Attempt::to_string).collect();
        if attempts.is_empty() {
            return what.to_owned();
        }
        format!("{what}; not possible: {}", attempts.join("; "))
    }

    /// Returns in which attributes the overlays here keep their marks.
    pub fn overlay_xattrs(&self) -> OverlayXattrs {
        self.inner.setting.overlay.xattrs
    }

    /// Returns the directory this build works in. Others may put files of theirs in it, under names
    /// of more than one letter; they are removed with it.
    pub fn work_dir(&self) -> std::path::PathBuf {
        self.inner.setting.work_dir.path()
    }

    /// Makes a fresh directory for an unpacked layer: empty, root's, mode 0755. It is part of no
    /// root directory until [`Rootfs::push_layer`].
    pub fn new_layer_dir(&self) -> Result<LayerDir, PathError> {
        let layer = self.inner.new_layer_dir()?;
        let dir = layer.open()?;
        dir.set_own_owner(0, 0)?;
        dir.set_own_mode(0o755)?;
        Ok(layer)
    }

    /// Removes the work directory now, and tells what went wrong with it. No root directory and no
    /// step can be used after this.
    pub fn close(self) -> Result<(), PathError> {
        self.inner.remove()
    }
}

impl Inner {
    fn dir(&self) -> &Dir {
        self.setting.work_dir.dir()
    }

    /// Returns a number that no directory of this build has yet.
    fn next_number(&self) -> u32 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    fn new_layer_dir(&self) -> Result<LayerDir, PathError> {
        let name = self.new_dir(room::LAYERS)?;
        Ok(LayerDir::at(&name, self.dir().path()))
    }

    /// Makes an empty directory in `room` and returns its name relative to the work directory.
    ///
    /// It stays until the sandbox closes: removing even an empty one takes tens of milliseconds on a
    /// disk that is told of freed blocks at once (`discard`), and a step makes several.
    fn new_dir(&self, room: &str) -> Result<String, PathError> {
        let number = self.next_number().to_string();
        let rooms = self.dir().open_dir(room.as_ref())?;
        rooms.create_dir(number.as_ref(), 0o700)?;
        Ok(format!("{room}/{number}"))
    }

    /// Removes a directory that [`Self::new_dir`] made, with what is in it.
    fn remove_dir(&self, name: &str) -> Result<(), PathError> {
        let Some((room, number)) = name.split_once('/') else {
            return Ok(());
        };
        crate::fs::remove_tree(&self.dir().open_dir(room.as_ref())?, number.as_ref())
    }

    fn mount(&self, overlay: &Overlay<'_>) -> Result<(), OverlayError> {
        self.setting.overlay.mount(self.dir(), overlay)
    }

    fn remove(&self) -> Result<(), PathError> {
        if self.is_removed.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        // Whatever is still mounted must go first: removing would reach through it.
        let merged = self.dir().open_dir(room::MERGED.as_ref())?;
        for name in merged.names()? {
            let name = format!("{}/{}", room::MERGED, name.to_string_lossy());
            overlay::unmount(self.dir(), &name)?;
        }
        self.setting.work_dir.remove()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!(%error, source = %error.source, "the build's files stay");
        }
    }
}
