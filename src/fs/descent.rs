//! A way down into a tree and up again, one directory at a time, of any depth.

use std::collections::VecDeque;
use std::ffi::OsStr;

use rustix::io::Errno;

use super::{Dir, PathError};

/// Directories held open along the way. Those above are opened again on the way up, so that a tree of any depth needs
/// no more descriptors than this.
const HELD_OPEN: usize = 64;

/// The directory where one stands in a tree, and the way back to where one started.
///
/// The tree must not be changed meanwhile; a directory that is not where it was is an error.
#[derive(Debug)]
pub struct Descent {
    /// Device and inode of each directory from the start to here.
    way: Vec<(u64, u64)>,
    /// The last of them, open. Never empty.
    open: VecDeque<Dir>,
}

impl Descent {
    /// Stands at `start`.
    pub fn new(start: &Dir) -> Result<Self, PathError> {
        Ok(Self {
            way: vec![identity(start)?],
            open: VecDeque::from([start.try_clone()?]),
        })
    }

    /// Returns the directory where one stands.
    pub fn dir(&self) -> &Dir {
        &self.open[self.open.len() - 1]
    }

    /// Returns how many directories one has gone down since the start.
    pub fn depth(&self) -> usize {
        self.way.len() - 1
    }

    /// Goes down into the directory `name`. A symbolic link is an error.
    pub fn enter(&mut self, name: &OsStr) -> Result<(), PathError> {
        let dir = self.dir().open_dir(name)?;
        self.way.push(identity(&dir)?);
        self.open.push_back(dir);
        if self.open.len() > HELD_OPEN {
            self.open.pop_front();
        }
        Ok(())
    }

    /// Goes up by one. At the start nothing happens.
    pub fn leave(&mut self) -> Result<(), PathError> {
        if self.depth() == 0 {
            return Ok(());
        }
        if self.open.len() == 1 {
            let above = self.dir().open_above()?;
            if identity(&above)? != self.way[self.way.len() - 2] {
                return Err(PathError::new("return to", above.path(), Errno::STALE));
            }
            self.open.push_front(above);
        }
        self.way.pop();
        self.open.pop_back();
        Ok(())
    }
}

fn identity(dir: &Dir) -> Result<(u64, u64), PathError> {
    let metadata = dir.metadata()?;
    Ok((metadata.dev, metadata.ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_up_from_far_below_leads_through_the_same_directories() {
        let temp = tempfile::tempdir().unwrap();
        let top = Dir::open(temp.path()).unwrap();
        let mut descent = Descent::new(&top).unwrap();
        let name = OsStr::new("down");
        let depth = HELD_OPEN * 3 + 1;
        for level in 0..depth {
            descent.dir().create_dir(name, 0o755).unwrap();
            let marker = format!("level-{level}");
            descent
                .dir()
                .create_file(OsStr::new(&marker), 0o600)
                .unwrap();
            descent.enter(name).unwrap();
        }
        assert_eq!(descent.depth(), depth);
        for level in (0..depth).rev() {
            descent.leave().unwrap();
            let marker = format!("level-{level}");
            assert!(
                descent
                    .dir()
                    .metadata_of(OsStr::new(&marker))
                    .unwrap()
                    .is_some(),
                "{marker}"
            );
        }
        descent.leave().unwrap();
        assert_eq!(descent.depth(), 0);
    }

    #[test]
    fn a_directory_that_was_moved_away_is_no_way_up() {
        let temp = tempfile::tempdir().unwrap();
        let top = Dir::open(temp.path()).unwrap();
        let mut descent = Descent::new(&top).unwrap();
        let name = OsStr::new("down");
        for _ in 0..=HELD_OPEN {
            descent.dir().create_dir(name, 0o755).unwrap();
            descent.enter(name).unwrap();
        }
        let second = top.open_dir(name).unwrap();
        second.rename(name, &top, OsStr::new("moved")).unwrap();
        let failed = (0..=HELD_OPEN).any(|_| descent.leave().is_err());
        assert!(failed);
    }
}
