//! Closing the tool's directory, which has credentials in it, to everybody but root for the time of a
//! command.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use crate::fs::{Dir, PathContext, PathError};

/// A file in the work directory that says what mode the directory had, for whoever comes after a
/// build that was killed meanwhile.
const NOTE: &str = "hidden-mode";
const NEW_NOTE: &str = "hidden-mode.new";

/// A directory that is open again when this value goes.
pub(super) struct HiddenDir {
    /// `None` for one that does not exist.
    hidden: Option<Hidden>,
}

struct Hidden {
    dir: Dir,
    mode: u32,
    /// Where the note is.
    work: Dir,
}

impl HiddenDir {
    /// Closes the directory at `path`; what it was is noted in `work`. One that does not exist needs
    /// no hiding.
    pub(super) fn hide(work: &Dir, path: &Path) -> Result<Self, PathError> {
        let Some(dir) = open_if_present(path)? else {
            return Ok(Self { hidden: None });
        };
        let mode = dir.metadata()?.mode;
        write_note(work, mode)?;
        dir.set_own_mode(mode & 0o700)?;
        let work = work.try_clone()?;
        let hidden = Hidden { dir, mode, work };
        Ok(Self {
            hidden: Some(hidden),
        })
    }
}

impl Drop for HiddenDir {
    fn drop(&mut self) {
        let Some(hidden) = self.hidden.take() else {
            return;
        };
        let opened = hidden.dir.set_own_mode(hidden.mode);
        let outcome = opened.and_then(|()| hidden.work.remove_file(OsStr::new(NOTE)));
        if let Err(error) = outcome
            // The command has removed all of it, which is told otherwise.
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(%error, source = %error.source, "the tool's directory keeps its mode");
        }
    }
}

/// Opens the directory at `path` again where a killed build has left it closed, as the note in that
/// build's directory `work` says.
pub(super) fn show_again(work: &Dir, path: &Path) -> Result<(), PathError> {
    let note = OsStr::new(NOTE);
    if work.metadata_of(note)?.is_none() {
        return Ok(());
    }
    let mut text = String::new();
    let mut file = work.open_file(note)?;
    file.read_to_string(&mut text)
        .on("read", work.path_of(note))?;
    if let (Ok(mode), Some(dir)) = (u32::from_str_radix(&text, 8), open_if_present(path)?) {
        dir.set_own_mode(mode)?;
    }
    work.remove_file(note)
}

/// Appears whole: a half-written mode would be another one.
fn write_note(work: &Dir, mode: u32) -> Result<(), PathError> {
    let (new, note) = (OsStr::new(NEW_NOTE), OsStr::new(NOTE));
    if work.metadata_of(new)?.is_some() {
        work.remove_file(new)?;
    }
    let mut file = work.create_file(new, 0o600)?;
    write!(file, "{mode:o}").on("write", work.path_of(new))?;
    work.rename(new, work, note)
}

fn open_if_present(path: &Path) -> Result<Option<Dir>, PathError> {
    match Dir::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_a_killed_build_closed_is_opened_again() {
        let temp = tempfile::tempdir().unwrap();
        let work = Dir::open(temp.path()).unwrap();
        work.create_dir(OsStr::new("tool"), 0o755).unwrap();
        work.set_mode(OsStr::new("tool"), 0o1777).unwrap();
        let tool = temp.path().join("tool");
        let mode = || Dir::open(&tool).unwrap().metadata().unwrap().mode;

        let hidden = HiddenDir::hide(&work, &tool).unwrap();
        assert_eq!(mode(), 0o700);
        // Killed: no destructor runs.
        std::mem::forget(hidden);
        show_again(&work, &tool).unwrap();
        assert_eq!(mode(), 0o1777);
        show_again(&work, &tool).unwrap();

        drop(HiddenDir::hide(&work, &tool).unwrap());
        assert_eq!(mode(), 0o1777);
        assert_eq!(work.names().unwrap(), ["tool"]);
    }
}
