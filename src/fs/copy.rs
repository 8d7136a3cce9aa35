//! Copying files and trees from one root into another.
//!
//! The rules are those of COPY (Dockerfile reference, "COPY"; BuildKit's copier where the text is
//! silent), but nothing here knows a Dockerfile: the caller says who owns the copies, which mode
//! they get and which files take part.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{Dir, FileKind, Metadata, ModeChange, PathError, Root};

/// Deepest nesting that is copied: no longer path can be named anyway (`PATH_MAX` is 4096).
const DEPTH_MAX: usize = 2048;

/// What the copies look like, and which files are copied.
pub struct CopyRules<'a> {
    /// Owner and group of everything that is created; `None` keeps the source's.
    pub owner: Option<(u32, u32)>,
    /// Change of the mode bits of everything that is copied; `None` keeps the source's.
    pub mode: Option<&'a ModeChange>,
    /// Which extended attributes are kept.
    pub keeps_xattr: fn(&OsStr) -> bool,
    /// Says of a path, relative to the source root, whether it takes part.
    pub choose: &'a dyn Fn(&Path, &Metadata) -> Choice,
}

/// Whether a path takes part in a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// It is copied.
    Take,
    /// It is not copied, and nothing below it.
    Skip,
    /// The directory is copied only where something below it is.
    Descend,
    /// As `Descend`, but the directory is only the way to what is copied: one that is there already keeps all but its
    /// mode.
    Pass,
}

impl Choice {
    /// Joins what two filters say of one path.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Skip, _) | (_, Self::Skip) => Self::Skip,
            (Self::Pass, _) | (_, Self::Pass) => Self::Pass,
            (Self::Descend, _) | (_, Self::Descend) => Self::Descend,
            (Self::Take, Self::Take) => Self::Take,
        }
    }
}

/// Where a copy goes.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// Absolute path inside the destination root.
    pub path: &'a Path,
    /// Whether the path was written as a directory, with a slash at its end.
    pub is_directory: bool,
}

/// Copies what lies at `path` in `source`, a file or the contents of a directory, to `destination`
/// in `target`. Links in `path` and `destination` are followed inside their roots; links found
/// below a copied directory are copied as links. `name` is the file's name in a directory.
///
/// Reads and writes every file that takes part; holds one name per hard-linked file.
pub fn copy(
    source: &Root,
    path: &Path,
    name: &OsStr,
    target: &Root,
    destination: Destination<'_>,
    rules: &CopyRules<'_>,
) -> Result<(), PathError> {
    let path = source.resolve(path)?;
    let Some(metadata) = source.symlink_metadata(&path)? else {
        return Err(PathError::new(
            "copy",
            source.outside_path(&path),
            Errno::NOENT,
        ));
    };
    let mut copier = Copier {
        target,
        rules,
        links: BTreeMap::new(),
    };
    if metadata.is_dir() {
        copier.copy_contents_of(source, &path, &metadata, destination)
    } else {
        copier.copy_file_to(source, &path, &metadata, name, destination)
    }
}

/// Creates the directory `path` in `target` and the parents that are missing, following links
/// inside the root. New ones get `mode` and `owner`; existing ones stay as they are.
pub fn create_dir_all(
    target: &Root,
    path: &Path,
    mode: u32,
    owner: (u32, u32),
) -> Result<Dir, PathError> {
    let resolved = target.resolve(path)?;
    let mut dir = target.dir().try_clone()?;
    for name in resolved.iter() {
        if dir.metadata_of(name)?.is_none() {
            dir.create_dir(name, 0o700)?;
            dir.set_owner(name, owner.0, owner.1)?;
            dir.set_mode(name, mode)?;
        }
        dir = dir.open_dir(name)?;
    }
    Ok(dir)
}

struct Copier<'a> {
    target: &'a Root,
    rules: &'a CopyRules<'a>,
    /// Where the first name of each hard-linked source file went, relative to the target.
    links: BTreeMap<(u64, u64), PathBuf>,
}

/// A directory that is being copied into, perhaps not created yet.
struct Below<'a> {
    source: &'a Dir,
    /// Path of `source` relative to the source root.
    source_path: &'a Path,
    /// Path of the copy relative to the target root, without links.
    target_path: &'a Path,
    depth: usize,
}

impl Copier<'_> {
    fn copy_contents_of(
        &mut self,
        source: &Root,
        path: &Path,
        metadata: &Metadata,
        destination: Destination<'_>,
    ) -> Result<(), PathError> {
        let target_path = self.target.resolve(destination.path)?;
        if let Some(found) = self.target.symlink_metadata(&target_path)?
            && !found.is_dir()
        {
            let path = self.target.outside_path(&target_path);
            return Err(PathError::new("copy a directory to", path, Errno::NOTDIR));
        }
        let dir = self.create_parents(&target_path)?;
        let below = Below {
            source: &source.open_dir(path)?,
            source_path: path,
            target_path: &target_path,
            depth: 0,
        };
        self.copy_entries(&below, &dir)?;
        // The mode and owner of the top directory are its own, its time is the source's.
        dir.set_own_mtime(metadata.mtime)
    }

    fn copy_file_to(
        &mut self,
        source: &Root,
        path: &Path,
        metadata: &Metadata,
        name: &OsStr,
        destination: Destination<'_>,
    ) -> Result<(), PathError> {
        if destination.is_directory {
            self.create_parents(destination.path)?;
        }
        let mut target_path = self.target.resolve(destination.path)?;
        if self
            .target
            .metadata(&target_path)?
            .is_some_and(|found| found.is_dir())
        {
            target_path.push(name);
        }
        let Some(leaf) = target_path.file_name() else {
            let path = self.target.outside_path(&target_path);
            return Err(PathError::new("replace", path, Errno::ISDIR));
        };
        let parent = target_path.parent().unwrap_or(Path::new(""));
        let dir = self.create_parents(parent)?;
        let (source_dir, source_name) = source.open_parent(path)?;
        self.copy_leaf(
            &source_dir,
            &source_name,
            metadata,
            &dir,
            leaf,
            &target_path,
        )
    }

    fn copy_entries(&mut self, below: &Below<'_>, target: &Dir) -> Result<(), PathError> {
        if below.depth > DEPTH_MAX {
            return Err(PathError::new(
                "copy",
                below.source.path(),
                Errno::NAMETOOLONG,
            ));
        }
        for name in below.source.names()? {
            let Some(metadata) = below.source.metadata_of(&name)? else {
                continue;
            };
            let path = below.source_path.join(&name);
            let choice = (self.rules.choose)(&path, &metadata);
            let is_copied = match choice {
                Choice::Skip => false,
                Choice::Descend | Choice::Pass if !metadata.is_dir() => false,
                Choice::Descend | Choice::Pass => {
                    self.takes_any_below(below.source, &name, &path)?
                }
                Choice::Take => true,
            };
            if is_copied {
                self.copy_entry(below, &name, &metadata, target, choice)?;
            }
        }
        Ok(())
    }

    fn copy_entry(
        &mut self,
        below: &Below<'_>,
        name: &OsStr,
        metadata: &Metadata,
        target: &Dir,
        choice: Choice,
    ) -> Result<(), PathError> {
        let target_path = below.target_path.join(name);
        if !metadata.is_dir() {
            return self.copy_leaf(below.source, name, metadata, target, name, &target_path);
        }
        let found = target.metadata_of(name)?;
        match &found {
            None => target.create_dir(name, 0o700)?,
            Some(found) if found.is_dir() => {}
            Some(_) => {
                let path = target.path_of(name);
                return Err(PathError::new("copy a directory to", path, Errno::NOTDIR));
            }
        }
        let next = Below {
            source: &below.source.open_dir(name)?,
            source_path: &below.source_path.join(name),
            target_path: &target_path,
            depth: below.depth + 1,
        };
        let dir = target.open_dir(name)?;
        self.copy_entries(&next, &dir)?;
        if choice == Choice::Pass && found.is_some() {
            // BuildKit's copier (`fsutil/copy`, "createParentDirs").
            return dir.set_own_mode(self.mode(metadata));
        }
        let (uid, gid) = self.owner(metadata);
        dir.set_own_owner(uid, gid)?;
        dir.set_own_mode(self.mode(metadata))?;
        for (key, value) in below.source.xattrs_where(name, self.rules.keeps_xattr)? {
            dir.set_own_xattr(&key, &value)?;
        }
        dir.set_own_mtime(metadata.mtime)
    }

    /// Says whether anything below the directory takes part: a tree that is left out but for some
    /// exceptions is created only where there are any.
    fn takes_any_below(&self, dir: &Dir, name: &OsStr, path: &Path) -> Result<bool, PathError> {
        let dir = dir.open_dir(name)?;
        for name in dir.names()? {
            let Some(metadata) = dir.metadata_of(&name)? else {
                continue;
            };
            let path = path.join(&name);
            match (self.rules.choose)(&path, &metadata) {
                Choice::Take => return Ok(true),
                Choice::Descend | Choice::Pass if metadata.is_dir() => {
                    if self.takes_any_below(&dir, &name, &path)? {
                        return Ok(true);
                    }
                }
                Choice::Descend | Choice::Pass | Choice::Skip => {}
            }
        }
        Ok(false)
    }

    /// Copies anything but a directory to `leaf` in `target`, replacing what is there.
    fn copy_leaf(
        &mut self,
        source: &Dir,
        name: &OsStr,
        metadata: &Metadata,
        target: &Dir,
        leaf: &OsStr,
        target_path: &Path,
    ) -> Result<(), PathError> {
        match target.metadata_of(leaf)? {
            None => {}
            Some(found) if found.is_dir() => {
                let path = target.path_of(leaf);
                return Err(PathError::new(
                    "replace a directory with a file at",
                    path,
                    Errno::ISDIR,
                ));
            }
            Some(_) => target.remove_file(leaf)?,
        }
        if let Some(first) = self.first_name(metadata, target_path) {
            let (dir, name) = self.target.open_parent(&first)?;
            return target.create_hard_link(&dir, &name, leaf);
        }
        let (uid, gid) = self.owner(metadata);
        match metadata.kind {
            FileKind::File => return self.copy_file(source, name, metadata, target, leaf),
            FileKind::Symlink => target.create_symlink(&source.read_link(name)?, leaf)?,
            // The mark of a deletion in overlays, where it cannot be made; so it cannot anywhere.
            FileKind::CharDevice(0) => {
                let path = target.path_of(leaf);
                return Err(PathError::new("create device", path, Errno::PERM));
            }
            FileKind::Fifo | FileKind::CharDevice(_) | FileKind::BlockDevice(_) => {
                target.create_node(leaf, metadata.kind, 0o600)?;
            }
            // A socket means nothing without its process: BuildKit leaves an empty file.
            FileKind::Socket => drop(target.create_file(leaf, 0o600)?),
            FileKind::Directory => {
                return Err(PathError::new("copy", source.path_of(name), Errno::ISDIR));
            }
        }
        target.set_owner(leaf, uid, gid)?;
        if !metadata.is_symlink() {
            target.set_mode(leaf, self.mode(metadata))?;
        }
        target.set_mtime(leaf, metadata.mtime)
    }

    fn copy_file(
        &self,
        source: &Dir,
        name: &OsStr,
        metadata: &Metadata,
        target: &Dir,
        leaf: &OsStr,
    ) -> Result<(), PathError> {
        let from = source.open_file(name)?;
        let to = target.create_new_file(leaf, 0o600)?;
        to.copy_from(&from)?;
        let (uid, gid) = self.owner(metadata);
        to.set_owner(uid, gid)?;
        to.set_mode(self.mode(metadata))?;
        for (key, value) in source.xattrs_where(name, self.rules.keeps_xattr)? {
            to.set_xattr(&key, &value)?;
        }
        to.set_mtime(metadata.mtime)
    }

    /// Returns the name that an earlier hard link of the same file got, and remembers this one.
    fn first_name(&mut self, metadata: &Metadata, target_path: &Path) -> Option<PathBuf> {
        if metadata.nlink < 2 {
            return None;
        }
        let inode = (metadata.dev, metadata.ino);
        if let Some(first) = self.links.get(&inode) {
            return Some(first.clone());
        }
        self.links.insert(inode, target_path.to_path_buf());
        None
    }

    fn create_parents(&self, path: &Path) -> Result<Dir, PathError> {
        let mode = match self.rules.mode {
            Some(ModeChange::Absolute(mode)) => *mode,
            Some(ModeChange::Symbolic(_)) | None => 0o755,
        };
        create_dir_all(self.target, path, mode, self.rules.owner.unwrap_or((0, 0)))
    }

    fn owner(&self, metadata: &Metadata) -> (u32, u32) {
        self.rules.owner.unwrap_or((metadata.uid, metadata.gid))
    }

    fn mode(&self, metadata: &Metadata) -> u32 {
        match self.rules.mode {
            Some(change) => change.apply(metadata.mode, metadata.is_dir()),
            None => metadata.mode,
        }
    }
}

/// Returns the last name of `path` as it was written, for a copy into a directory.
pub fn base_name(path: &Path) -> OsString {
    path.file_name().unwrap_or(OsStr::new("/")).to_os_string()
}
