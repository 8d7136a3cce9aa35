//! Entering the sandbox: main's first effect, before any thread exists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::fs::{PathError, Root};
use crate::sys;

use super::attempt::{Attempt, hints, list};
use super::choice::choose;
use super::failure::Failure;
use super::id_map::is_mapped;
use super::isolation::{Isolation, Mode};
use super::mountinfo::mounts_of_this_process;
use super::own_root::{self, RootLock, kept_paths, relative};
use super::probe::enter_mode;
use super::storage::StorageChoice;
use super::swap::SwapError;
use super::work_dir::recover_stale;
use super::{Sandbox, Setting, ignored, state_dir};

/// What to enter, and where to work. Paths are absolute.
#[derive(Debug, Clone)]
pub struct EnterOptions {
    /// The wanted isolation. Anything but `Auto` is taken or refused, never replaced.
    pub isolation: Isolation,
    /// How files are kept.
    pub storage: StorageChoice,
    /// Where the work directory is made, whatever may speak against it; created if missing.
    pub state_dir: Option<PathBuf>,
    /// Where it is made otherwise: the first of these, or of the disks that are mounted, in which
    /// overlays work, else the first that can be written to. Those that do not exist are passed over.
    pub state_dir_candidates: Vec<PathBuf>,
    /// Directories that a build copies files from: unless the user says so, no work directory is
    /// made in one.
    pub avoided: Vec<PathBuf>,
    /// The directory of the executor's own files. It stays where it is while a stage's files are in
    /// the root directory.
    pub tool_dir: PathBuf,
    /// Paths of the root directory that no stage's files take the place of; a component may be a pattern of Go's
    /// `filepath.Match`.
    pub ignored: BTreeSet<PathBuf>,
    /// Directories that this process uses by their paths while a stage's files are in the root directory, and that
    /// stay where they are therefore. Empty for none.
    pub kept: Vec<PathBuf>,
    /// The directory that the job's shell is in, and is to stay in: directories of a container's
    /// image cannot be moved, only made anew elsewhere.
    pub current_dir: PathBuf,
    /// Allows mode `inplace` also where this is not the executor's own image.
    pub allows_in_place: bool,
}

/// Where kaniko's images, and ours, have the executor.
pub const TOOL_DIR: &str = "/kaniko";

impl Default for EnterOptions {
    fn default() -> Self {
        Self {
            isolation: Isolation::default(),
            storage: StorageChoice::default(),
            state_dir: None,
            state_dir_candidates: Vec::new(),
            avoided: Vec::new(),
            tool_dir: PathBuf::from(TOOL_DIR),
            ignored: BTreeSet::new(),
            kept: Vec::new(),
            current_dir: PathBuf::from("/"),
            allows_in_place: false,
        }
    }
}

impl EnterOptions {
    /// Returns the same with the real paths of directories that may have to stay in place while a stage
    /// is in the root directory: a link would, and what it leads to would not.
    fn without_links(&self) -> Self {
        let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        Self {
            state_dir: self.state_dir.as_deref().map(real),
            tool_dir: real(&self.tool_dir),
            kept: self.kept.iter().map(|path| real(path)).collect(),
            ..self.clone()
        }
    }
}

/// Why no sandbox could be entered.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// Called too late.
    #[error("the sandbox must be entered before the process has other threads")]
    OtherThreads,
    /// `/proc` tells what is mounted.
    #[error("cannot read `/proc/self/mountinfo`")]
    Mounts(#[source] std::io::Error),
    /// No mode that was asked for works here.
    #[error("no way to isolate RUN works here ({})", list(.0))]
    Unavailable(Vec<Attempt>),
    /// The mode worked when it was probed, and then did not.
    #[error("cannot enter isolation `{}` ({failure})", mode.name())]
    Enter {
        /// The mode.
        mode: Mode,
        /// What failed.
        failure: Failure,
    },
    /// Overlays were asked for where a mode keeps files in trees.
    #[error("--storage=overlay cannot be used in isolation `{}`", .0.name())]
    NoOverlaysInMode(Mode),
    /// The directory that the user gave is of no use.
    #[error("cannot use the state directory `{}` ({failure})", path.display())]
    StateDir {
        /// The directory.
        path: PathBuf,
        /// What failed.
        failure: Failure,
    },
    /// None of the candidates is of use.
    #[error("no directory for the build's files works ({})", list_dirs(.0))]
    NoStateDir(Vec<(PathBuf, Failure)>),
    /// A killed build's files are in the root directory.
    #[error("cannot put back this container's own files, which a killed build has set aside")]
    Recover(#[from] SwapError),
    /// The work directory could not be filled.
    #[error(transparent)]
    WorkDir(#[from] PathError),
}

/// Shows directories with what failed in each.
pub(super) fn list_dirs(failures: &[(PathBuf, Failure)]) -> String {
    if failures.is_empty() {
        return "none exists".to_owned();
    }
    let show = |(path, failure): &(PathBuf, Failure)| format!("`{}`: {failure}", path.display());
    let failures: Vec<String> = failures.iter().map(show).collect();
    failures.join("; ")
}

impl EnterError {
    /// Returns what the user can do about it, one sentence each. Empty where nothing is known.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Unavailable(attempts) => hints(attempts),
            Self::StateDir { .. } | Self::NoStateDir(_) => vec![
                "give a directory on a local disk or a volume, which this user can write to, with \
                 --state-dir"
                    .to_owned(),
            ],
            Self::OtherThreads
            | Self::Mounts(_)
            | Self::Enter { .. }
            | Self::NoOverlaysInMode(_)
            | Self::Recover(_)
            | Self::WorkDir(_) => Vec::new(),
        }
    }
}

/// Puts this container's own files back into the root directory, where a build in mode `inplace` was
/// killed while they were aside; first waits for one that lives. Comes before anything is read: the
/// user's files are among them.
///
/// Returns the lock of the root directory: as long as it is held, no other build moves anything. `None`
/// for a user who cannot have moved anything, and cannot move it back.
pub fn recover_root(options: &EnterOptions) -> Result<Option<RootLock>, EnterError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let options = &options.without_links();
    let lock = RootLock::take()?;
    let mounts = mounts_of_this_process().map_err(EnterError::Mounts)?;
    let root = Root::open(Path::new("/"))?;
    // What else was kept, the killed build has noted itself.
    let kept: Vec<PathBuf> = mounts.iter().map(|mount| relative(&mount.point)).collect();
    for parent in state_dir::possible_parents(options, &mounts) {
        recover_stale(&parent, &root, &kept, &options.tool_dir)?;
    }
    Ok(Some(lock))
}

/// Moves this process into the strongest isolation that `options` allow and makes a work directory.
///
/// Afterwards the process is, in modes `ns` and `userns`, in a mount namespace of its own, in
/// `userns` also root of a user namespace; in the others nothing has changed. Fails in a process that
/// has other threads.
pub fn enter(options: &EnterOptions) -> Result<Sandbox, EnterError> {
    enter_holding(options, recover_root(options)?)
}

/// As [`enter`], with the lock that [`recover_root`] returned. It is held on in mode `inplace`.
pub fn enter_holding(
    options: &EnterOptions,
    lock: Option<RootLock>,
) -> Result<Sandbox, EnterError> {
    if let Some(dir) = &options.state_dir {
        // Where it cannot be made, that is said when it is used.
        let _ = std::fs::create_dir_all(dir);
    }
    let options = &options.without_links();
    if !sys::is_single_threaded() {
        return Err(EnterError::OtherThreads);
    }
    // Everything a step needs from outside is looked at before anything changes.
    let argument_area = sys::ArgumentArea::find();
    let mounts = mounts_of_this_process().map_err(EnterError::Mounts)?;
    let choice = choose(options, &mounts).map_err(EnterError::Unavailable)?;
    let mode = choice.mode;
    enter_mode(mode).map_err(|failure| EnterError::Enter { mode, failure })?;
    let root_lock = match mode {
        Mode::Inplace => lock,
        Mode::Ns | Mode::Userns(_) | Mode::Chroot | Mode::None => None,
    };
    let found = state_dir::find(options, mode, &mounts)?;
    if mode == Mode::Inplace {
        own_root::note_parent(&options.tool_dir, &found.work_dir.path())?;
    }
    let ignored = ignored::found_in(Path::new("/"), &options.ignored);
    let others = ignored.into_iter().chain(options.kept.iter().cloned());
    let kept = kept_paths(
        &options.tool_dir,
        &mounts,
        others.chain([found.work_dir.path()]),
    );
    let sandbox = Sandbox::new(Setting {
        mode,
        facts: choice.facts,
        attempts: choice.attempts,
        work_dir: found.work_dir,
        storage: found.storage,
        without_overlays: found.without_overlays,
        tool_dir: options.tool_dir.clone(),
        kept,
        standing: standing(options),
        root_lock,
        has_tty_group: has_tty_group(),
        argument_area,
    })?;
    Ok(sandbox)
}

/// Returns the directories that somebody is in or holds open while a stage is in the root directory,
/// relative to it: the shell that started us, and the build context.
fn standing(options: &EnterOptions) -> Vec<PathBuf> {
    let dirs = options.avoided.iter().chain([&options.current_dir]);
    let dirs = dirs.map(|dir| relative(dir));
    dirs.filter(|dir| !dir.as_os_str().is_empty()).collect()
}

/// Says whether the group `tty`, the owner of terminals on every Linux, exists in this namespace.
fn has_tty_group() -> bool {
    const TTY: u32 = 5;
    let map = std::fs::read_to_string(Path::new("/proc/self/gid_map")).unwrap_or_default();
    is_mapped(&map, TTY)
}
