//! Entering the sandbox: main's first effect, before any thread exists.

use std::path::{Path, PathBuf};

use crate::fs::PathError;
use crate::image::OverlayXattrs;
use crate::sys;

use super::Sandbox;
use super::failure::Failure;
use super::id_map::is_mapped;
use super::isolation::{Ids, Isolation, Mode};
use super::overlay;
use super::probe::{Attempt, Facts, enter_mode, probe_mode};
use super::storage::Storage;
use super::work_dir::{WorkDir, remove_stale};

/// What to enter, and where to work.
#[derive(Debug, Clone)]
pub struct EnterOptions {
    /// The wanted isolation. Anything but `Auto` is taken or refused, never replaced.
    pub isolation: Isolation,
    /// Where the work directory is made, whatever may speak against it; created if missing.
    pub state_dir: Option<PathBuf>,
    /// Where it is made otherwise: the first of these in which overlays work.
    pub state_dir_candidates: Vec<PathBuf>,
}

/// Why no sandbox could be entered.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// A way that is not there yet.
    #[error("not yet supported: --isolation={0}")]
    NotYetSupported(Isolation),
    /// Called too late.
    #[error("the sandbox must be entered before the process has other threads")]
    OtherThreads,
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
    /// The directory that the user gave is of no use.
    #[error("cannot use the state directory `{}` ({failure})", path.display())]
    StateDir {
        /// The directory.
        path: PathBuf,
        /// What failed.
        failure: Failure,
    },
    /// Overlays work in none of the candidates.
    #[error("no directory for the build's files works ({})", list_dirs(.0))]
    NoStateDir(Vec<(PathBuf, Failure)>),
    /// The work directory could not be filled.
    #[error(transparent)]
    WorkDir(#[from] PathError),
}

fn list(attempts: &[Attempt]) -> String {
    let attempts: Vec<String> = attempts.iter().map(Attempt::to_string).collect();
    attempts.join("; ")
}

fn list_dirs(failures: &[(PathBuf, Failure)]) -> String {
    let show = |(path, failure): &(PathBuf, Failure)| format!("`{}`: {failure}", path.display());
    let failures: Vec<String> = failures.iter().map(show).collect();
    failures.join("; ")
}

impl EnterError {
    /// Returns what the user can do about it, one sentence each. Empty where nothing is known.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Unavailable(attempts) => {
                let mut hints: Vec<String> = attempts.iter().filter_map(Attempt::hint).collect();
                hints.dedup();
                hints
            }
            Self::StateDir { .. } | Self::NoStateDir(_) => vec![
                "give a directory on a local disk or a volume with --state-dir: overlays cannot be \
                 stacked on a container's own root directory"
                    .to_owned(),
            ],
            Self::NotYetSupported(_)
            | Self::OtherThreads
            | Self::Enter { .. }
            | Self::WorkDir(_) => Vec::new(),
        }
    }
}

/// Moves this process into the strongest isolation that `options` allow and makes a work directory.
///
/// Afterwards the process is in a mount namespace of its own, in mode `userns` also root of a user
/// namespace. Fails in a process that has other threads.
pub fn enter(options: &EnterOptions) -> Result<Sandbox, EnterError> {
    let modes = modes_for(options.isolation)?;
    if !sys::is_single_threaded() {
        return Err(EnterError::OtherThreads);
    }
    // Everything a step needs from outside is looked at before anything changes.
    let argument_area = sys::ArgumentArea::find();
    let (mode, facts, attempts) = choose(modes)?;
    enter_mode(mode).map_err(|failure| EnterError::Enter { mode, failure })?;
    let (work_dir, storage) = find_work_dir(options, mode)?;
    let sandbox = Sandbox::new(super::Setting {
        mode,
        attempts,
        work_dir,
        storage,
        can_mount_sysfs: facts.can_mount_sysfs,
        has_tty_group: has_tty_group(),
        argument_area,
    })?;
    Ok(sandbox)
}

fn modes_for(isolation: Isolation) -> Result<&'static [Mode], EnterError> {
    match isolation {
        Isolation::Auto => Ok(&[Mode::Ns, Mode::Userns(Ids::Range)]),
        Isolation::Ns => Ok(&[Mode::Ns]),
        Isolation::Userns => Ok(&[Mode::Userns(Ids::Range)]),
        Isolation::Inplace | Isolation::Chroot | Isolation::None => {
            Err(EnterError::NotYetSupported(isolation))
        }
    }
}

/// Returns the first mode that works, with what failed before it.
fn choose(modes: &[Mode]) -> Result<(Mode, Facts, Vec<Attempt>), EnterError> {
    let mut attempts = Vec::new();
    // A directory that every machine has, to mount over in namespaces that end with the probe.
    let scratch = Path::new("/sys");
    for mode in modes {
        match probe_mode(*mode, scratch) {
            Ok(facts) => return Ok((*mode, facts, attempts)),
            Err(failure) => {
                tracing::debug!(mode = mode.name(), %failure, "isolation does not work");
                attempts.push(Attempt {
                    mode: *mode,
                    failure,
                });
            }
        }
    }
    Err(EnterError::Unavailable(attempts))
}

fn find_work_dir(options: &EnterOptions, mode: Mode) -> Result<(WorkDir, Storage), EnterError> {
    if let Some(path) = &options.state_dir {
        let failed = |failure| EnterError::StateDir {
            path: path.clone(),
            failure,
        };
        std::fs::create_dir_all(path)
            .map_err(|error| failed(Failure::from_io("create directory", &error)))?;
        return make_work_dir(path, mode).map_err(failed);
    }
    let mut failures = Vec::new();
    for path in &options.state_dir_candidates {
        match make_work_dir(path, mode) {
            Ok(found) => return Ok(found),
            Err(failure) => failures.push((path.clone(), failure)),
        }
    }
    Err(EnterError::NoStateDir(failures))
}

fn make_work_dir(parent: &Path, mode: Mode) -> Result<(WorkDir, Storage), Failure> {
    remove_stale(parent);
    let work_dir = WorkDir::create(parent)?;
    let kinds: &[OverlayXattrs] = match mode {
        // Root of a container's user namespace is not trusted with `trusted.*`.
        Mode::Ns => &[OverlayXattrs::Trusted, OverlayXattrs::User],
        Mode::Userns(_) => &[OverlayXattrs::User],
        Mode::Inplace | Mode::Chroot | Mode::None => &[],
    };
    match overlay::probe(work_dir.dir(), kinds) {
        Ok(overlay) => Ok((work_dir, Storage::Overlay(overlay))),
        Err(failure) => {
            let _ = work_dir.remove();
            Err(failure)
        }
    }
}

/// Says whether the group `tty`, the owner of terminals on every Linux, exists in this namespace.
fn has_tty_group() -> bool {
    const TTY: u32 = 5;
    let map = std::fs::read_to_string("/proc/self/gid_map").unwrap_or_default();
    is_mapped(&map, TTY)
}
