//! Entries that a layer has before they are needed, put aside: contents in a file, so that they take no memory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::names::Place;
use crate::fs::{PathContext, PathError};
use crate::image::archive::Entry;

/// Entries that were put aside.
pub(super) struct Spool {
    /// Where the file is made, once it is needed.
    dir: PathBuf,
    file: Option<File>,
    /// Each with the place of its contents: start and length in bytes.
    entries: HashMap<Place, (Entry, u64, u64)>,
}

impl Spool {
    /// Begins with nothing. Its file will lie in `dir`, without a name.
    pub(super) fn in_dir(dir: &Path) -> Self {
        Self {
            dir: dir.to_path_buf(),
            file: None,
            entries: HashMap::new(),
        }
    }

    /// Puts an entry aside, with all of its contents.
    pub(super) fn keep(
        &mut self,
        place: Place,
        entry: Entry,
        mut contents: impl Read,
    ) -> Result<(), PathError> {
        let dir = &self.dir;
        let mut file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile_in(dir).on("create a file in", dir)?,
        };
        let start = file.seek(SeekFrom::End(0)).on("write a file in", dir)?;
        let length = std::io::copy(&mut contents, &mut file).on("write a file in", dir)?;
        file.flush().on("write a file in", dir)?;
        self.file = Some(file);
        self.entries.insert(place, (entry, start, length));
        Ok(())
    }

    /// Returns an entry that was put aside, with its contents.
    pub(super) fn take(&mut self, place: Place) -> Result<Option<(Entry, impl Read)>, PathError> {
        let (Some((entry, start, length)), Some(file)) =
            (self.entries.remove(&place), &mut self.file)
        else {
            return Ok(None);
        };
        file.seek(SeekFrom::Start(start))
            .on("read a file in", &self.dir)?;
        Ok(Some((entry, file.take(length))))
    }
}
