//! What a step asked to see, made ready for a first process that only has to bind it: each thing lies in the builder's
//! own namespace, and it is known where it goes.
//!
//! A target may lie in another mount: its mount point is made there, in a copy if that mount is only lent. Paths are
//! looked up in open directories; a link between a mount and a target in it is refused, for it would be followed
//! outside of the root.

mod lent;
mod own_mount;
mod place;

use std::path::{Path, PathBuf};

use crate::fs::{PathError, Root};
use crate::sys::MountFlags;

pub(super) use self::lent::{CopyDir, LentCopy};
use self::own_mount::{OwnMount, memory_options};
pub(super) use self::place::MountPlace;
use super::Inner;
use super::agent::Relay;
use super::places::{MissingPoint, Places, PointKind};
use super::rootfs::RootfsError;
use super::run::RunError;
use super::step_mount::{Access, FileTree, Shown, StepMount};

/// Mode of a directory in memory, as the kernel's default.
const MEMORY_MODE: u32 = 0o1777;

/// The mounts of one step, in the order in which they are bound.
pub(super) struct Staging<'a> {
    inner: &'a Inner,
    mounts: Vec<StagedMount<'a>>,
    /// Mount points that the image lacks.
    missing: Vec<MissingPoint>,
    /// Where secrets and sockets lie; `None` without any.
    store: Option<OwnMount<'a>>,
    /// End before the store does.
    relays: Vec<Relay>,
}

/// Something to bind.
pub(super) struct StagedMount<'a> {
    /// As it was asked for.
    pub(super) target: PathBuf,
    /// Where it lies for the builder.
    pub(super) source: PathBuf,
    pub(super) kind: PointKind,
    pub(super) place: MountPlace,
    pub(super) is_read_only: bool,
    /// What is useless in it: of `NODEV`, `NOSUID` and `NOEXEC`.
    pub(super) forbidden: MountFlags,
    /// The directory; `None` for a file.
    tree: Option<Root>,
    /// Where it comes from, if that must stay as it is and could be written to.
    lent: Option<FileTree>,
    /// What it lies in.
    owned: Owned<'a>,
}

/// What is made for one mount, and goes with it.
#[expect(
    dead_code,
    reason = "they are held until the step has ended, and then dropped"
)]
enum Owned<'a> {
    Nothing,
    Mount(OwnMount<'a>),
    Copy(LentCopy<'a>),
}

impl<'a> Staging<'a> {
    /// Makes `mounts` ready for a step in `root`, in which `places` are used already.
    pub(super) fn prepare(
        inner: &'a Inner,
        root: &Root,
        places: &Places<'_>,
        mounts: &[StepMount],
    ) -> Result<Self, RunError> {
        let mut staging = Self {
            inner,
            mounts: Vec::new(),
            missing: Vec::new(),
            store: None,
            relays: Vec::new(),
        };
        // As runtimes do: what is mounted above another mount comes first.
        let mut mounts: Vec<&StepMount> = mounts.iter().collect();
        mounts.sort_by_key(|mount| mount.target.iter().count());
        for mount in mounts {
            staging.add(root, places, mount)?;
        }
        Ok(staging)
    }

    pub(super) fn mounts(&self) -> &[StagedMount<'a>] {
        &self.mounts
    }

    pub(super) fn missing(&self) -> &[MissingPoint] {
        &self.missing
    }

    fn add(&mut self, root: &Root, places: &Places<'_>, mount: &StepMount) -> Result<(), RunError> {
        let mut staged = self.stage(mount)?;
        staged.place = self.place(root, places, &mount.target, staged.kind)?;
        self.mounts.push(staged);
        Ok(())
    }

    fn stage(&mut self, mount: &StepMount) -> Result<StagedMount<'a>, RunError> {
        let staged = |source, tree: Option<Root>| StagedMount {
            target: mount.target.clone(),
            source,
            kind: match tree {
                Some(_) => PointKind::Directory,
                None => PointKind::File,
            },
            place: MountPlace::Root(PathBuf::new()),
            is_read_only: mount.is_read_only,
            forbidden: MountFlags::NODEV,
            tree,
            lent: None,
            owned: Owned::Nothing,
        };
        Ok(match &mount.shows {
            // Commands of other steps may write to a cache meanwhile, and put a link where a part of it was.
            Shown::Kept(tree) if tree.is_part() => {
                let part = OwnMount::bind(self.inner, &tree.open_part()?.lasting_path())?;
                let shown = part.open()?;
                let mut staged = staged(shown.path().to_path_buf(), Some(shown));
                staged.owned = Owned::Mount(part);
                staged
            }
            Shown::Kept(tree) => staged(tree.outside_path(), tree.open_dir()?),
            Shown::Lent(tree) => {
                let mut staged = staged(tree.outside_path(), tree.open_dir()?);
                staged.lent = Some(tree.clone());
                if !mount.is_read_only {
                    staged.make_own(self.inner)?;
                }
                staged
            }
            Shown::Memory { size } => {
                let options = memory_options(MEMORY_MODE, *size);
                let memory = OwnMount::memory(self.inner, MountFlags::empty(), &options)?;
                let tree = memory.open()?;
                let mut staged = staged(tree.path().to_path_buf(), Some(tree));
                staged.owned = Owned::Mount(memory);
                staged
            }
            Shown::Secret { contents, access } => {
                let (store, name) = self.store()?;
                let mut file = store.dir().create_new_file(name.as_ref(), 0o600)?;
                file.write_all(contents.reveal())?;
                file.set_owner(access.uid, access.gid)?;
                file.set_mode(access.mode)?;
                StagedMount {
                    forbidden: forbidden_in_secret(access.mode),
                    ..staged(store.dir().path_of(name.as_ref()), None)
                }
            }
            Shown::Agent { agent, access } => {
                let (store, name) = self.store()?;
                let relay = Relay::start(agent.clone(), store.dir(), &name)?;
                self.relays.push(relay);
                give(&store, &name, *access)?;
                staged(store.dir().path_of(name.as_ref()), None)
            }
        })
    }

    /// Opens the file system for small things of ours, and returns it with a name that is free there.
    fn store(&mut self) -> Result<(Root, String), RootfsError> {
        let store = match &self.store {
            Some(store) => store,
            None => {
                let options = memory_options(0o700, None);
                let store = OwnMount::memory(self.inner, MountFlags::empty(), &options)?;
                self.store.insert(store)
            }
        };
        Ok((store.open()?, self.mounts.len().to_string()))
    }
}

/// A secret may be a program, if its mode says so (BuildKit, mounts of secrets).
fn forbidden_in_secret(mode: u32) -> MountFlags {
    let always = MountFlags::NODEV | MountFlags::NOSUID;
    match mode & 0o111 {
        0 => always | MountFlags::NOEXEC,
        _ => always,
    }
}

fn give(store: &Root, name: &str, access: Access) -> Result<(), PathError> {
    let (dir, name) = (store.dir(), name.as_ref());
    dir.set_owner(name, access.uid, access.gid)?;
    dir.set_mode(name, access.mode)
}

impl<'a> StagedMount<'a> {
    /// Puts a copy in the place of what is lent: it is about to be changed.
    fn make_own(&mut self, inner: &'a Inner) -> Result<(), RootfsError> {
        let Some(lent) = self.lent.take() else {
            return Ok(());
        };
        let copy = LentCopy::make(inner, &lent)?;
        self.source = copy.path()?;
        self.tree = copy.open()?;
        self.owned = Owned::Copy(copy);
        Ok(())
    }
}

/// Joins a path that may be empty, without a slash at its end then.
pub(super) fn join(path: &Path, rest: &Path) -> PathBuf {
    match rest.as_os_str().is_empty() {
        true => path.to_path_buf(),
        false => path.join(rest),
    }
}
