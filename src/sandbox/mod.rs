//! Where a step runs: entering the isolation that this machine allows, the root directory of a
//! stage, and running a command in it.
//!
//! This room knows namespaces, mounts and processes. It must not know Dockerfiles, caches or
//! registries, and prints nothing. What a step changed is read by `snapshot`; here it is only kept.
//!
//! The order is fixed: [`enter`] before any thread, then a [`Rootfs`] for each stage, in it a
//! [`Step`] for each instruction that touches files, which becomes a [`FrozenStep`].

mod agent;
mod attempt;
mod belongings;
mod choice;
mod command;
mod description;
mod enter;
mod failure;
mod follow;
mod hidden_dir;
mod id_map;
mod ignored;
mod isolation;
mod mountinfo;
mod mounts;
mod network_files;
mod overlay;
mod overlay_step;
mod own_root;
mod owner_maps;
mod owners;
mod placed;
mod places;
mod probe;
mod program;
mod removal;
mod rootfs;
mod run;
mod secret;
mod staging;
mod state_dir;
mod step;
mod step_mount;
mod stop;
mod storage;
mod stubs;
mod swap;
mod tree;
mod tree_run;
mod user;
mod userns;
mod view;
mod work_dir;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::fs::{Dir, Ledger, PathError, Rights, Root};
use crate::sys::ArgumentArea;

use self::network_files::NetworkFiles;
use self::overlay::{Overlay, OverlayOptions};
use self::probe::Facts;
use self::storage::Storage;
use self::work_dir::WorkDir;

pub use self::agent::{Agent, AgentError, KeyError, RelayError};
pub use self::attempt::Attempt;
pub use self::command::{Command, Ended, Exit, Network, ShownFile, Stream};
pub use self::enter::{EnterError, EnterOptions, TOOL_DIR, enter, enter_holding, recover_root};
pub use self::failure::Failure;
pub use self::isolation::{Ids, Isolation, Mode, UnknownIsolation};
pub use self::overlay::OverlayError;
pub use self::overlay_step::{FrozenStep, OverlayStep};
pub use self::own_root::RootLock;
pub use self::owner_maps::{OwnerMaps, become_owner};
pub use self::owners::{EmulationSummary, Identity, OwnerEmulation};
pub use self::rootfs::{LayerDir, Rootfs, RootfsError};
pub use self::run::RunError;
pub use self::secret::Secret;
pub use self::step::Step;
pub use self::step_mount::{Access, FileTree, Shown, StepMount};
pub use self::stop::{Stop, StopError};
pub use self::storage::{StorageChoice, StorageKind, UnknownStorage};
pub use self::swap::SwapError;
pub use self::tree::Tree;
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
    /// Root directories of stages that are plain trees.
    pub(super) const TREES: &str = "t";
    /// The container's own files while a stage's are in their place.
    pub(super) const ASIDE: &str = "a";
    /// A stage's files while something else is shown in their place.
    pub(super) const PROPS: &str = "p";
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
    facts: Facts,
    /// Stronger modes that do not work here.
    attempts: Vec<Attempt>,
    work_dir: WorkDir,
    storage: Storage,
    /// Where overlays were wanted and do not work. Empty where they do.
    without_overlays: Vec<(PathBuf, Failure)>,
    /// The directory of the executor's own files; absolute, and perhaps missing.
    tool_dir: PathBuf,
    /// For `inplace`: what stays in the root directory while a stage's files are in it. Relative to
    /// it, sorted.
    kept: Vec<PathBuf>,
    /// For `inplace`: directories that somebody is in, so that only their entries move. Relative to
    /// the root directory, which may be among them.
    standing: Vec<PathBuf>,
    /// In mode `inplace`, which only one build of a container can be in.
    /// Held in `inplace`.
    root_lock: Option<RootLock>,
    has_tty_group: bool,
    argument_area: Option<ArgumentArea>,
}

impl Setting {
    /// Says whether a command has a host name of its own.
    fn has_hostnames(&self) -> bool {
        match self.mode {
            Mode::Ns | Mode::Userns(_) => self.facts.can_set_hostname,
            // It takes a namespace to have another name than the machine.
            Mode::Inplace | Mode::Chroot | Mode::None => false,
        }
    }
}

#[derive(Debug)]
struct Inner {
    setting: Setting,
    /// What the files of trees are, where the kernel does not let this process make them so.
    ledger: Option<Arc<Ledger>>,
    network_files: NetworkFiles,
    /// Held while a stage's files are in the root directory.
    root_directory: Mutex<()>,
    next_number: AtomicU32,
    is_removed: AtomicBool,
}

impl Sandbox {
    fn new(setting: Setting) -> Result<Self, PathError> {
        let inner = Inner {
            ledger: ledger_for(setting.mode).map(Arc::new),
            setting,
            network_files: NetworkFiles::of_this_machine(),
            root_directory: Mutex::new(()),
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
            room::TREES,
            room::ASIDE,
            room::PROPS,
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

    /// Returns what the user can do to get a stronger mode, one sentence each. Empty where nothing is
    /// known, or no other mode was tried.
    pub fn hints(&self) -> Vec<String> {
        attempt::hints(self.attempts())
    }

    /// Returns one line that says which isolation this is, why no stronger one, and what would give
    /// it.
    pub fn description(&self) -> String {
        description::line(&self.inner.setting)
    }

    /// Returns what will not work here, one sentence each. Empty for the strong modes.
    pub fn warnings(&self) -> Vec<String> {
        description::warnings(&self.inner.setting)
    }

    /// Says whether a command can have a host name of its own; else it sees the machine's.
    pub fn has_hostnames(&self) -> bool {
        self.inner.setting.has_hostnames()
    }

    /// Says whether a command can have a network of its own.
    pub fn can_isolate_network(&self) -> bool {
        match self.mode() {
            Mode::Ns | Mode::Userns(_) => true,
            Mode::Inplace | Mode::Chroot | Mode::None => false,
        }
    }

    /// Returns how the files of stages are kept here.
    pub fn storage(&self) -> StorageKind {
        match &self.inner.setting.storage {
            Storage::Overlay(overlay) => StorageKind::Layers(overlay.xattrs),
            Storage::Tree => StorageKind::Trees,
        }
    }

    /// Returns the directory this build works in. Others may put files of theirs in it, under names
    /// of more than one letter; they are removed with it.
    pub fn work_dir(&self) -> PathBuf {
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

    /// Makes a layer's directory of one that lies elsewhere, and that must stay there until the sandbox closes.
    pub fn adopt_layer_dir(&self, path: &Path) -> Result<LayerDir, PathError> {
        self.inner.adopt_layer_dir(path)
    }

    /// Says whether directories below `path`, which may be on another file system, can be layers here: tries it.
    pub fn can_adopt_from(&self, path: &Path) -> bool {
        let tried = || -> Result<(), RootfsError> {
            let layer = self.inner.adopt_layer_dir(path)?;
            View::mount(&self.inner, &[layer])?.root().dir().names()?;
            Ok(())
        };
        match tried() {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "no layers can be adopted");
                false
            }
        }
    }

    /// Returns who the owners of files are here.
    pub fn owner_maps(&self) -> Result<OwnerMaps, PathError> {
        OwnerMaps::of_this_process()
    }

    /// Makes a fresh directory for files that steps see and that are in no root directory: root's, mode 0755. Owners
    /// are kept in it as in every tree of this build.
    pub fn new_files_dir(&self) -> Result<Root, PathError> {
        let name = self.inner.new_dir(room::TREES)?;
        let dir = Dir::open(&self.inner.dir().path().join(name))?;
        let dir = match &self.inner.ledger {
            Some(ledger) => dir.with_ledger(Arc::clone(ledger)),
            None => dir,
        };
        dir.set_own_owner(0, 0)?;
        dir.set_own_mode(0o755)?;
        Ok(Root::from_dir(dir))
    }

    /// Removes a directory that this build made, with what is in it: a layer's or a tree's. One that lies elsewhere is
    /// removed by whoever made it.
    pub fn discard(&self, path: &Path) -> Result<(), PathError> {
        let work = self.inner.dir();
        let Ok(relative) = path.strip_prefix(work.path()) else {
            return Ok(());
        };
        let (Some(room), Some(name)) = (relative.parent(), relative.file_name()) else {
            return Ok(());
        };
        let room = work.open_dir(room.as_os_str())?;
        let room = match &self.inner.ledger {
            Some(ledger) => room.with_ledger(Arc::clone(ledger)),
            None => room,
        };
        crate::fs::remove_tree(&room, name)
    }

    /// Removes the work directory now, and tells what went wrong with it. No root directory and no
    /// step can be used after this.
    ///
    /// A command that nobody waits for any more ends before this does: in `inplace`, its stage is where
    /// the container's own files belong.
    pub fn close(self) -> Result<(), SwapError> {
        self.inner.remove()
    }
}

fn ledger_for(mode: Mode) -> Option<Ledger> {
    match mode {
        Mode::None => Some(Ledger::new(Rights::PlainUser)),
        Mode::Userns(Ids::Single) => Some(Ledger::new(Rights::OneId)),
        Mode::Ns | Mode::Userns(Ids::Whole | Ids::Range) | Mode::Inplace | Mode::Chroot => None,
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

    /// Links to the directory at `path` from among the layers: a mount's options have room for short names only.
    fn adopt_layer_dir(&self, path: &Path) -> Result<LayerDir, PathError> {
        let number = self.next_number().to_string();
        let rooms = self.dir().open_dir(room::LAYERS.as_ref())?;
        rooms.create_symlink(path.as_os_str(), number.as_ref())?;
        Ok(LayerDir::elsewhere(
            &format!("{}/{number}", room::LAYERS),
            path,
        ))
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

    /// Returns how overlays are mounted here. Stacks of layers exist only where they are.
    fn overlay(&self) -> OverlayOptions {
        match &self.setting.storage {
            Storage::Overlay(overlay) => *overlay,
            Storage::Tree => unreachable!("no stack of layers is made where trees are"),
        }
    }

    fn mount(&self, overlay: &Overlay<'_>) -> Result<(), OverlayError> {
        self.overlay().mount(self.dir(), overlay)
    }

    fn remove(&self) -> Result<(), SwapError> {
        if self.is_removed.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let place = self.root_directory.lock();
        let _place = place.unwrap_or_else(PoisonError::into_inner);
        // The work directory holds the container's own files as long as they are not back.
        if self.setting.mode == Mode::Inplace {
            tree_run::put_root_back(self)?;
            own_root::forget_parent(&self.setting.tool_dir)?;
        }
        // Whatever is still mounted must go first: removing would reach through it.
        let merged = self.dir().open_dir(room::MERGED.as_ref())?;
        for name in merged.names()? {
            let name = format!("{}/{}", room::MERGED, name.to_string_lossy());
            overlay::unmount(self.dir(), &name)?;
        }
        Ok(self.setting.work_dir.remove()?)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!(error = %error, path = %self.setting.work_dir.path().display(),
                "the build's files stay");
        }
    }
}
