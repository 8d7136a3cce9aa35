//! Files that are to be nowhere, and have a name somewhere nevertheless.

use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::Mode;

use super::dir::proc_path;
use super::{Metadata, PathContext, PathError};

/// Empties the open regular file if it still has a name, and says whether it has one. `path` is for
/// messages.
pub fn empty_if_named(file: &File, path: &Path) -> Result<bool, PathError> {
    let metadata: Metadata = rustix::fs::fstat(file).on("stat", path)?.into();
    if metadata.nlink == 0 {
        return Ok(false);
    }
    // Its owner may write to it whatever its mode is, but must say so first.
    let mode = Mode::from_raw_mode(metadata.mode);
    rustix::fs::fchmod(file, mode | Mode::WUSR).on("change mode of", path)?;
    let open = OpenOptions::new().write(true).open(proc_path(file.as_fd()));
    open.and_then(|file| file.set_len(0)).on("empty", path)?;
    rustix::fs::fchmod(file, mode).on("change mode of", path)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_emptied_under_whatever_name_it_still_has() {
        let temp = tempfile::tempdir().unwrap();
        let (first, second) = (temp.path().join("first"), temp.path().join("second"));
        std::fs::write(&first, "secret").unwrap();
        rustix::fs::chmod(&first, Mode::RUSR).unwrap();
        let file = File::open(&first).unwrap();
        std::fs::rename(&first, &second).unwrap();
        assert!(empty_if_named(&file, &first).unwrap());
        assert_eq!(std::fs::read(&second).unwrap(), b"");
        std::fs::remove_file(&second).unwrap();
        assert!(!empty_if_named(&file, &first).unwrap());
    }
}
