//! Which directory the work directory is made in, and whether overlays work there.
//!
//! Two rounds over the same directories: first for one that can hold overlays, then for any that can
//! be written to. File systems in memory come last: an image in one may end the build, or the pod.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::fs::Dir;
use crate::image::OverlayXattrs;

use super::enter::{EnterError, EnterOptions};
use super::failure::Failure;
use super::isolation::{Ids, Mode};
use super::mountinfo::Mount;
use super::overlay;
use super::own_root::{noted_parent, try_exchange};
use super::storage::{Storage, StorageChoice};
use super::work_dir::{WorkDir, remove_stale};

/// A file system that nobody named for us, or that is in memory, is only used with this much room: a
/// Debian with a compiler, and its layers.
const ROOM_BYTES_MIN: u64 = 4 << 30;

/// The directory of the executor's own image where a runtime is asked to mount a disk.
const WORK: &str = "work";

/// The type of tmpfs in statfs(2) (Linux, include/uapi/linux/magic.h: `TMPFS_MAGIC`).
const TMPFS: u64 = 0x0102_1994;

/// A work directory, and how files are kept in it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) work_dir: WorkDir,
    pub(super) storage: Storage,
    /// Where overlays were tried and did not work. Empty where they do, or were not wanted.
    pub(super) without_overlays: Vec<(PathBuf, Failure)>,
}

/// Makes a work directory for `mode` in the best place that `options` allow.
pub(super) fn find(
    options: &EnterOptions,
    mode: Mode,
    mounts: &[Mount],
) -> Result<Found, EnterError> {
    let choice = options.storage;
    if choice == StorageChoice::Overlay && !mode.takes_overlays() {
        return Err(EnterError::NoOverlaysInMode(mode));
    }
    create_given(options).map_err(|(path, failure)| EnterError::StateDir { path, failure })?;
    let places = places(options, mode, mounts);
    let mut without_overlays = Vec::new();
    if mode.takes_overlays() && choice != StorageChoice::Tree {
        match first_with_overlays(&places, mode) {
            Ok((work_dir, storage)) => {
                return Ok(Found {
                    work_dir,
                    storage,
                    without_overlays,
                });
            }
            Err(failures) => without_overlays = failures,
        }
        if choice == StorageChoice::Overlay {
            return Err(none_works(options, without_overlays));
        }
    }
    match first_that_works(&places, |place| make_for_tree(place, mode)) {
        Ok(work_dir) => Ok(Found {
            work_dir,
            storage: Storage::Tree,
            without_overlays,
        }),
        Err(failures) => Err(none_works(options, failures)),
    }
}

/// Says why mode `inplace` has no place to work in, where it has none.
pub(super) fn try_inplace(options: &EnterOptions, mounts: &[Mount]) -> Result<(), Failure> {
    create_given(options).map_err(|(_, failure)| failure)?;
    let places = places(options, Mode::Inplace, mounts);
    match first_that_works(&places, |place| make_for_tree(place, Mode::Inplace)) {
        Ok(work_dir) => Ok(work_dir.remove()?),
        Err(failures) => Err(failures.into_iter().next().map_or_else(
            || Failure::with_detail("state directory", "none exists"),
            |(_, failure)| failure,
        )),
    }
}

/// Returns every directory in which a killed build may have left something, in no order.
pub(super) fn possible_parents(options: &EnterOptions, mounts: &[Mount]) -> BTreeSet<PathBuf> {
    let given = options.state_dir.iter();
    let mounted = mounts.iter().filter(|mount| mount.is_local_disk());
    given
        .chain(&options.state_dir_candidates)
        .chain([&options.tool_dir.join(WORK), &options.tool_dir])
        .chain(&noted_parent(&options.tool_dir))
        .chain(mounted.map(|mount| &mount.point))
        .chain([&PathBuf::from("/")])
        .filter_map(|path| std::fs::canonicalize(path).ok())
        .collect()
}

fn create_given(options: &EnterOptions) -> Result<(), (PathBuf, Failure)> {
    let Some(path) = &options.state_dir else {
        return Ok(());
    };
    std::fs::create_dir_all(path).map_err(|error| {
        let failure = Failure::from_io("create directory", &error);
        (path.clone(), failure)
    })
}

fn none_works(options: &EnterOptions, failures: Vec<(PathBuf, Failure)>) -> EnterError {
    match (&options.state_dir, failures.first()) {
        (Some(path), Some((_, failure))) => EnterError::StateDir {
            path: path.clone(),
            failure: failure.clone(),
        },
        (Some(_) | None, _) => EnterError::NoStateDir(failures),
    }
}

/// A directory that may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    path: PathBuf,
    /// Chosen by nobody but us, or in memory: only with [`ROOM_BYTES_MIN`].
    needs_room: bool,
}

/// Returns the directories to try, best first, each once.
fn places(options: &EnterOptions, mode: Mode, mounts: &[Mount]) -> Vec<Place> {
    if let Some(path) = &options.state_dir {
        return vec![Place {
            path: path.clone(),
            needs_room: false,
        }];
    }
    let in_tool_dir = [&options.tool_dir.join(WORK), &options.tool_dir];
    let named = options.state_dir_candidates.iter();
    let named: Vec<&PathBuf> = match mode {
        // The less of the root directory has to stay in place, the better: the tool's directory
        // stays anyway.
        Mode::Inplace => in_tool_dir.into_iter().chain(named).collect(),
        Mode::Ns | Mode::Userns(_) | Mode::Chroot | Mode::None => {
            named.chain(in_tool_dir).collect()
        }
    };
    let mounted = mounts.iter().filter(|mount| mount.is_local_disk());
    let all = named
        .into_iter()
        .map(|path| (path, false))
        .chain(mounted.map(|mount| (&mount.point, true)));
    let mut seen = BTreeSet::new();
    let (mut on_disk, mut in_memory) = (Vec::new(), Vec::new());
    for (path, needs_room) in all {
        // What does not exist is no candidate; what several paths lead to is one.
        let Ok(path) = std::fs::canonicalize(path) else {
            continue;
        };
        if !path.is_dir() || is_avoided(&path, &options.avoided) || !seen.insert(path.clone()) {
            continue;
        }
        if is_in_memory(&path) {
            in_memory.push(Place {
                path,
                needs_room: true,
            });
        } else {
            on_disk.push(Place { path, needs_room });
        }
    }
    on_disk.append(&mut in_memory);
    on_disk
}

fn is_avoided(path: &Path, avoided: &[PathBuf]) -> bool {
    avoided
        .iter()
        .any(|avoided| match std::fs::canonicalize(avoided) {
            // Who copies from all of the machine has excluded what must not be copied.
            Ok(avoided) => avoided != Path::new("/") && path.starts_with(avoided),
            Err(_) => false,
        })
}

fn is_in_memory(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|found| found.f_type as u64 == TMPFS)
}

fn check_room(place: &Place) -> Result<(), Failure> {
    if !place.needs_room {
        return Ok(());
    }
    let found = rustix::fs::statvfs(&place.path).map_err(|errno| Failure::new("statvfs", errno))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if free >= ROOM_BYTES_MIN {
        return Ok(());
    }
    let needed = ROOM_BYTES_MIN >> 30;
    Err(Failure::with_detail(
        "look for room",
        format!("less than {needed} GiB free"),
    ))
}

/// Returns what `make` makes in the first place where it works, else why it does not in each.
fn first_that_works<T>(
    places: &[Place],
    make: impl Fn(&Place) -> Result<T, Failure>,
) -> Result<T, Vec<(PathBuf, Failure)>> {
    let mut failures = Vec::new();
    for place in places {
        match check_room(place).and_then(|()| make(place)) {
            Ok(made) => return Ok(made),
            Err(failure) => {
                tracing::debug!(path = %place.path.display(), %failure, "no place for the build's files");
                failures.push((place.path.clone(), failure));
            }
        }
    }
    Err(failures)
}

/// As [`first_that_works`]. What the kernel refused in one directory of a file system is not tried in
/// another.
fn first_with_overlays(
    places: &[Place],
    mode: Mode,
) -> Result<(WorkDir, Storage), Vec<(PathBuf, Failure)>> {
    let kinds = overlay_kinds(mode);
    let mut refused = BTreeSet::new();
    let mut failures = Vec::new();
    for place in places {
        let device = std::fs::metadata(&place.path).map_or(0, |found| found.dev());
        if refused.contains(&device) {
            continue;
        }
        match check_room(place).and_then(|()| make_for_overlays(place, kinds)) {
            Ok(found) => return Ok(found),
            Err(failure) => {
                tracing::debug!(path = %place.path.display(), %failure, "no place for overlays");
                if failure.operation == overlay::MOUNT {
                    refused.insert(device);
                }
                failures.push((place.path.clone(), failure));
            }
        }
    }
    Err(failures)
}

/// Attributes that overlays may use in `mode`, best first.
fn overlay_kinds(mode: Mode) -> &'static [OverlayXattrs] {
    match mode {
        // Root of a container's user namespace is not trusted with `trusted.*`.
        Mode::Ns => &[OverlayXattrs::Trusted, OverlayXattrs::User],
        Mode::Userns(Ids::Whole | Ids::Range | Ids::Single) => &[OverlayXattrs::User],
        Mode::Inplace | Mode::Chroot | Mode::None => &[],
    }
}

fn make_for_overlays(
    place: &Place,
    kinds: &[OverlayXattrs],
) -> Result<(WorkDir, Storage), Failure> {
    let work_dir = make_work_dir(&place.path)?;
    match overlay::probe(work_dir.dir(), kinds) {
        Ok(overlay) => Ok((work_dir, Storage::Overlay(overlay))),
        Err(failure) => {
            let _ = work_dir.remove();
            Err(failure)
        }
    }
}

fn make_for_tree(place: &Place, mode: Mode) -> Result<WorkDir, Failure> {
    let work_dir = make_work_dir(&place.path)?;
    let checked = match mode {
        Mode::Inplace => {
            let root = Dir::open(Path::new("/"))?;
            try_exchange(&root, work_dir.dir())
        }
        Mode::Ns | Mode::Userns(_) | Mode::Chroot | Mode::None => Ok(()),
    };
    match checked {
        Ok(()) => Ok(work_dir),
        Err(failure) => {
            let _ = work_dir.remove();
            Err(failure)
        }
    }
}

fn make_work_dir(parent: &Path) -> Result<WorkDir, Failure> {
    // Asked first, for a message without a random name in it.
    rustix::fs::access(parent, rustix::fs::Access::WRITE_OK)
        .map_err(|errno| Failure::new("write", errno))?;
    remove_stale(parent);
    Ok(WorkDir::create(parent)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(places: &[Place]) -> Vec<&Path> {
        places.iter().map(|place| place.path.as_path()).collect()
    }

    fn disk(point: &Path) -> Mount {
        Mount {
            point: point.to_path_buf(),
            kind: "ext4".to_owned(),
            is_writable: true,
        }
    }

    #[test]
    fn each_directory_is_tried_once_and_memory_last() {
        let temp = tempfile::tempdir().unwrap();
        let dir = |name: &str| {
            let path = temp.path().join(name);
            std::fs::create_dir_all(&path).unwrap();
            path
        };
        let (first, volume, tool) = (dir("first"), dir("volume"), dir("tool"));
        std::os::unix::fs::symlink(&first, temp.path().join("link")).unwrap();
        let options = EnterOptions {
            state_dir_candidates: vec![
                PathBuf::from("/dev/shm"),
                first.clone(),
                temp.path().join("missing"),
                temp.path().join("link"),
            ],
            tool_dir: tool.clone(),
            ..EnterOptions::default()
        };
        let memory = PathBuf::from("/dev/shm");
        let mounts = [disk(&volume), disk(&temp.path().join("link"))];
        let found = places(&options, Mode::Ns, &mounts);
        assert_eq!(paths(&found), [&first, &tool, &volume, &memory]);
        let needs: Vec<bool> = found.iter().map(|place| place.needs_room).collect();
        assert_eq!(needs, [false, false, true, true]);
        let found = places(&options, Mode::Inplace, &mounts);
        assert_eq!(paths(&found), [&tool, &first, &volume, &memory]);
    }

    #[test]
    fn no_work_directory_lies_in_what_is_copied() {
        let temp = tempfile::tempdir().unwrap();
        let inside = temp.path().join("context/volume");
        std::fs::create_dir_all(&inside).unwrap();
        let options = EnterOptions {
            state_dir_candidates: vec![temp.path().to_path_buf(), temp.path().join("context")],
            avoided: vec![temp.path().join("context")],
            ..EnterOptions::default()
        };
        let found = places(&options, Mode::Ns, &[disk(&inside)]);
        assert_eq!(paths(&found), [temp.path()]);
    }

    #[test]
    fn where_nothing_can_be_written_each_reason_is_told() {
        let options = EnterOptions {
            state_dir_candidates: vec![PathBuf::from("/proc"), PathBuf::from("/sys")],
            ..EnterOptions::default()
        };
        let error = find(&options, Mode::None, &[]).unwrap_err();
        let EnterError::NoStateDir(failures) = &error else {
            panic!("{error}");
        };
        assert_eq!(failures.len(), 2, "{error}");
        assert!(!error.hints().is_empty());
        let given = EnterOptions {
            state_dir: Some(PathBuf::from("/proc/self")),
            ..EnterOptions::default()
        };
        let error = find(&given, Mode::Chroot, &[]).unwrap_err();
        assert!(matches!(error, EnterError::StateDir { .. }), "{error}");
    }

    #[test]
    fn overlays_are_not_promised_where_a_mode_has_none() {
        let options = EnterOptions {
            storage: StorageChoice::Overlay,
            ..EnterOptions::default()
        };
        for mode in [Mode::Chroot, Mode::None, Mode::Userns(Ids::Single)] {
            let error = find(&options, mode, &[]).unwrap_err();
            assert!(matches!(error, EnterError::NoOverlaysInMode(_)), "{error}");
        }
    }
}
