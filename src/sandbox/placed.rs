//! What a command needs in a plain tree besides the image's files, put there before it runs and taken
//! back afterwards.
//!
//! Where an overlay is possible, mount points lie in a layer of their own, and files are mounted. In a
//! plain tree they have to be in the tree itself: mount points that the image lacks and, where nothing
//! can be mounted, files with their contents and devices. A file that the image has at such a place is
//! set aside, and afterwards it is back, the same inode with the same times; what the command did to
//! ours is dropped, as with a mount. Directories keep the times that they had, or got by the command.
//! So a walk of the tree finds what the command did and nothing else.
//!
//! Everything is remembered by open directories, never by path: whatever the command has made of the
//! way to a file, nothing outside of the tree is reached, and a file of ours in a directory that was
//! moved is found there. A file that was itself moved or linked elsewhere is emptied.

mod taking_back;
mod wanted;
mod watched;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use crate::fs::{Dir, FileKind, PathError, Root, Timestamp, empty_if_named, remove_tree};

use super::rootfs::RootfsError;
use super::step_mount::Access;

use self::taking_back::{Home, drop_entry, remove_way};
pub(super) use self::wanted::{ChangedMark, Thing, Wanted, devices};
use self::wanted::{ROOTS_FILE, place_of};
use self::watched::Watched;

/// Things that are in a tree for the time of one command.
#[must_use = "they are in the tree until they are taken back"]
#[derive(Debug)]
pub(super) struct Placed {
    /// Outside of the tree.
    aside: Dir,
    /// Directories in which something was changed.
    parents: Vec<Parent>,
    /// In the order in which they were made.
    made: Vec<Made>,
    skipped: Vec<PathBuf>,
}

#[derive(Debug)]
struct Parent {
    dir: Dir,
    /// Device and inode.
    identity: (u64, u64),
    mtime: Timestamp,
}

/// Something that was made in a directory.
#[derive(Debug)]
struct Made {
    /// Index of the directory in which it is.
    parent: usize,
    name: OsString,
    kind: MadeKind,
    /// A file with contents: to be emptied if the command moved it.
    shown: Option<File>,
    /// What is not to be written to.
    watched: Option<Watched>,
    /// Where it is to be afterwards.
    home: Option<Home>,
    /// What the image has there, by its name in `aside`.
    instead_of: Option<OsString>,
}

#[derive(Debug, Clone, Copy)]
enum MadeKind {
    /// A directory with this inode, which leads to something else. It stays if the command has put
    /// something into it.
    Way(u64),
    /// What was wanted.
    Thing,
}

impl Placed {
    /// Puts what is wanted into `tree`, in this order. `aside` is an empty directory outside of it,
    /// which must not be used for anything else meanwhile; on the same file system as what the image
    /// has in the place of a file or device, and as devices.
    ///
    /// After an error the tree is what it was before, unless that is an error, too.
    pub(super) fn put(tree: &Root, wanted: &[Wanted], aside: &Dir) -> Result<Self, RootfsError> {
        let mut placed = Self {
            aside: aside.try_clone()?,
            parents: Vec::new(),
            made: Vec::new(),
            skipped: Vec::new(),
        };
        let outcome = wanted
            .iter()
            .try_for_each(|wanted| placed.place(tree, wanted));
        placed.set_times()?;
        if let Err(error) = outcome {
            placed.take_back()?;
            return Err(error);
        }
        Ok(placed)
    }

    /// Returns the paths of devices that this process may not make. What the image has there, if
    /// anything, is what the command finds.
    pub(super) fn skipped(&self) -> &[PathBuf] {
        &self.skipped
    }

    /// Makes the tree what the command made of it. Returns the paths of files that the command moved or
    /// linked elsewhere, which are empty now. No process of the command may be left.
    pub(super) fn take_back(mut self) -> Result<Vec<PathBuf>, PathError> {
        for parent in &mut self.parents {
            parent.mtime = parent.dir.metadata()?.mtime;
        }
        let mut strays = Vec::new();
        for made in self.made.iter().rev() {
            self.take(made, &mut strays)?;
        }
        self.set_times()?;
        for name in self.aside.names()? {
            remove_tree(&self.aside, &name)?;
        }
        Ok(strays)
    }

    fn place(&mut self, tree: &Root, wanted: &Wanted) -> Result<(), RootfsError> {
        let path = place_of(tree, wanted)?;
        let wrong = |found| RootfsError::Target {
            target: Path::new("/").join(&wanted.path),
            found,
        };
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
            return match wanted.thing {
                Thing::Directory => Ok(()),
                Thing::FilePoint
                | Thing::File { .. }
                | Thing::Secret { .. }
                | Thing::Moved { .. }
                | Thing::Device(_)
                | Thing::Link(_) => Err(wrong("its root directory")),
            };
        };
        let Some(parent) = self.make_way(tree, above)? else {
            return Err(wrong("a file on the way"));
        };
        let found = self.parents[parent].dir.metadata_of(name)?;
        let kind = found.map(|found| found.kind);
        let is_there = kind.is_some();
        match (&wanted.thing, kind) {
            (Thing::Directory, None) => self.make_dir(parent, name, |_| MadeKind::Thing)?,
            (Thing::Directory, Some(FileKind::Directory))
            | (Thing::FilePoint | Thing::Link(_), Some(_)) => {}
            (Thing::Directory, Some(_)) => return Err(wrong("a file")),
            (
                Thing::File { .. } | Thing::Secret { .. } | Thing::Device(_),
                Some(FileKind::Directory),
            ) => {
                return Err(wrong("a directory"));
            }
            (Thing::Device(device), Some(found)) if *device == found => {}
            (Thing::FilePoint, None) => self.make_file(parent, name, b"", ROOTS_FILE)?,
            (Thing::Link(text), None) => {
                let dir = &self.parents[parent].dir;
                dir.create_symlink(text, name)?;
                self.note(parent, name, MadeKind::Thing);
            }
            (Thing::File { contents, mode }, Some(_) | None) => {
                self.set_aside(parent, name, is_there)?;
                let access = Access {
                    mode: *mode,
                    ..ROOTS_FILE
                };
                self.show_file(parent, name, contents, access)?;
            }
            (
                Thing::Secret {
                    contents,
                    access,
                    is_changed,
                },
                Some(_) | None,
            ) => {
                self.set_aside(parent, name, is_there)?;
                self.show_file(parent, name, contents.reveal(), *access)?;
                let watched = Watched::begin(&self.parents[parent].dir, name, contents, is_changed);
                if let Some(made) = self.made.last_mut() {
                    made.watched = Some(watched?);
                }
            }
            (Thing::Moved { home, name: there }, found) => {
                let moved = home.dir().metadata_of(there)?;
                match (moved.is_some_and(|moved| moved.is_dir()), found) {
                    (true, None | Some(FileKind::Directory)) | (false, None) => {}
                    (true, Some(_)) => return Err(wrong("a file")),
                    (false, Some(FileKind::Directory)) => return Err(wrong("a directory")),
                    (false, Some(_)) => {}
                }
                self.set_aside(parent, name, is_there)?;
                self.move_in(parent, name, home, there)?;
            }
            (Thing::Device(device), Some(_) | None) => match self.make_device(*device)? {
                Some(fresh) => {
                    self.set_aside(parent, name, is_there)?;
                    self.aside.rename(&fresh, &self.parents[parent].dir, name)?;
                    self.note(parent, name, MadeKind::Thing);
                }
                None => self.skipped.push(wanted.path.clone()),
            },
        }
        Ok(())
    }

    /// Opens the directory at `path`, which has no links, and makes what is missing of it. `None` where
    /// a file is in the way.
    fn make_way(&mut self, tree: &Root, path: &Path) -> Result<Option<usize>, PathError> {
        let mut here = self.parent(tree.dir().try_clone()?)?;
        for name in path.iter() {
            let dir = &self.parents[here].dir;
            match dir.metadata_of(name)? {
                Some(found) if found.is_dir() => {}
                Some(_) => return Ok(None),
                None => self.make_dir(here, name, MadeKind::Way)?,
            }
            let next = self.parents[here].dir.open_dir(name)?;
            here = self.parent(next)?;
        }
        Ok(Some(here))
    }

    /// Returns the number of a directory, which is remembered as it is now if it is a new one.
    fn parent(&mut self, dir: Dir) -> Result<usize, PathError> {
        let metadata = dir.metadata()?;
        let identity = (metadata.dev, metadata.ino);
        let known = self
            .parents
            .iter()
            .position(|parent| parent.identity == identity);
        Ok(known.unwrap_or_else(|| {
            self.parents.push(Parent {
                dir,
                identity,
                mtime: metadata.mtime,
            });
            self.parents.len() - 1
        }))
    }

    /// Makes a directory; `kind` is told its inode.
    fn make_dir(
        &mut self,
        parent: usize,
        name: &OsStr,
        kind: fn(u64) -> MadeKind,
    ) -> Result<(), PathError> {
        let dir = &self.parents[parent].dir;
        dir.create_dir(name, 0o755)?;
        let made = dir.open_dir(name)?;
        self.note(parent, name, kind(made.metadata()?.ino));
        made.set_own_owner(0, 0)?;
        // Whatever the umask is.
        made.set_own_mode(0o755)
    }

    /// Makes a file that is emptied should the command move it.
    fn show_file(
        &mut self,
        parent: usize,
        name: &OsStr,
        contents: &[u8],
        access: Access,
    ) -> Result<(), PathError> {
        self.make_file(parent, name, contents, access)?;
        // For reading only: the kernel runs no program that somebody may write to.
        let file = self.parents[parent].dir.open_file(name)?;
        if let Some(made) = self.made.last_mut() {
            made.shown = Some(file);
        }
        Ok(())
    }

    /// Moves something in that is moved back later.
    fn move_in(
        &mut self,
        parent: usize,
        name: &OsStr,
        home: &Arc<Root>,
        there: &OsStr,
    ) -> Result<(), PathError> {
        let from = home.dir();
        let Some(found) = from.metadata_of(there)? else {
            return Err(PathError::new("move", from.path_of(there), Errno::NOENT));
        };
        let tree = match found.is_dir() {
            true => Some(from.open_dir(there)?),
            false => None,
        };
        from.rename(there, &self.parents[parent].dir, name)?;
        self.note(parent, name, MadeKind::Thing);
        if let Some(made) = self.made.last_mut() {
            made.home = Some(Home {
                dir: Arc::clone(home),
                name: there.to_os_string(),
                identity: (found.dev, found.ino),
                tree,
            });
        }
        Ok(())
    }

    /// Makes a file in its place: it may be on another file system than `aside`.
    fn make_file(
        &mut self,
        parent: usize,
        name: &OsStr,
        contents: &[u8],
        access: Access,
    ) -> Result<(), PathError> {
        let dir = &self.parents[parent].dir;
        let mut file = dir.create_new_file(name, 0o600)?;
        let written = file
            .write_all(contents)
            .and_then(|()| file.set_owner(access.uid, access.gid))
            .and_then(|()| file.set_mode(access.mode));
        self.note(parent, name, MadeKind::Thing);
        written
    }

    /// Makes a device in `aside` and returns its name; `None` where that is not allowed.
    fn make_device(&self, device: FileKind) -> Result<Option<OsString>, PathError> {
        let name = OsString::from(format!("new-{}", self.made.len()));
        match self.aside.create_node(&name, device, 0o666) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(None),
            other => other?,
        }
        self.aside.set_owner(&name, 0, 0)?;
        self.aside.set_mode(&name, 0o666)?;
        Ok(Some(name))
    }

    /// Moves the image's own to `aside`, if there is one.
    fn set_aside(&mut self, parent: usize, name: &OsStr, is_there: bool) -> Result<(), PathError> {
        if !is_there {
            return Ok(());
        }
        let own = OsString::from(format!("own-{}", self.made.len()));
        let dir = &self.parents[parent].dir;
        dir.rename(name, &self.aside, &own)?;
        self.note(parent, name, MadeKind::Thing);
        if let Some(made) = self.made.last_mut() {
            made.instead_of = Some(own);
        }
        Ok(())
    }

    /// Remembers what was just made: it is to be taken back whatever fails next.
    fn note(&mut self, parent: usize, name: &OsStr, kind: MadeKind) {
        self.made.push(Made {
            parent,
            name: name.to_os_string(),
            kind,
            shown: None,
            watched: None,
            home: None,
            instead_of: None,
        });
    }

    /// Gives the directories the times that they are to have.
    fn set_times(&self) -> Result<(), PathError> {
        for parent in &self.parents {
            // Setting it would be a change by itself.
            if parent.dir.metadata()?.mtime != parent.mtime {
                parent.dir.set_own_mtime(parent.mtime)?;
            }
        }
        Ok(())
    }

    fn take(&self, made: &Made, strays: &mut Vec<PathBuf>) -> Result<(), PathError> {
        let (dir, name) = (&self.parents[made.parent].dir, made.name.as_os_str());
        match made.kind {
            MadeKind::Way(ino) => return remove_way(dir, name, ino),
            MadeKind::Thing => {}
        }
        if let (Some(watched), Some(file)) = (&made.watched, &made.shown) {
            watched.end(dir, name, file)?;
        }
        match &made.home {
            Some(home) => home.bring_back(dir, name, strays)?,
            None => drop_entry(dir, name)?,
        }
        if let Some(own) = &made.instead_of {
            match self.aside.rename(own, dir, name) {
                // The command has removed the directory, and the image's file with it.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                other => other?,
            }
        }
        let path = dir.path_of(name);
        if let Some(file) = &made.shown
            && empty_if_named(file, &path)?
        {
            strays.push(path);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
